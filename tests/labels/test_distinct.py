from melanoma_tl.labels.distinct import once_each


def test_a_text_that_comes_back_is_read_once_and_equal_numbers_are_not_mixed_up():
    seen = []

    def read(cell):
        seen.append(cell)
        return str(cell)

    assert once_each(read, ["a", "b", "a", 1, True, 1.0, "a"]) == ["a", "b", "a", "1", "True", "1.0", "a"]
    assert seen == ["a", "b", 1, True, 1.0]
