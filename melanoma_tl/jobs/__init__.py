"""Jobs over more images than one machine takes: what `melanoma_tl.scale` is made of."""
