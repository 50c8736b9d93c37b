"""The example of the Balancer page."""

# --8<-- [start:example]
import numpy as np

from melanoma_tl import Balancer

# ISBI 2016: 727 benign images, 173 melanomas
y = np.array([0] * 727 + [1] * 173)
# or paths, or images, or a table: rows are chosen, never made up
rows = np.arange(len(y))

# the published sampling: undersample=2.0, oversample=1.0
balancer = Balancer(random_state=0)
chosen, y_balanced = balancer.fit_resample(rows, y)

print(np.bincount(y_balanced))  # [346 346]
print(balancer.sample_indices_[:5])  # where each chosen row came from
print(balancer.class_weight(y))  # the alternative: weights in the loss
# --8<-- [end:example]

from matplotlib.figure import Figure

steps = {
    "as in\nISBI 2016": y,
    "undersample=2.0": Balancer(oversample=None).fit_resample(rows, y)[1],
    "then\noversample=1.0": y_balanced,
}
figure = Figure(figsize=(6, 3.4), layout="constrained")
ax = figure.add_subplot()
for label, (name, colour) in enumerate(
    (("benign", "#0072B2"), ("melanoma", "#D55E00"))
):
    counts = [int((classes == label).sum()) for classes in steps.values()]
    bars = ax.bar(
        np.arange(len(steps)) + 0.4 * label - 0.2,
        counts,
        width=0.38,
        color=colour,
        label=name,
    )
    ax.bar_label(bars)
ax.set_xticks(range(len(steps)), list(steps))
ax.set_ylabel("training rows")
ax.spines[["top", "right"]].set_visible(False)
ax.legend(frameon=False)
figure.savefig("balancer.png", dpi=110)
