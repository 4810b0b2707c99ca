from metering.domain.spelling import meant


def test_the_nearest_names_are_suggested_nearest_first() -> None:
    known = ("openai", "anthropic", "groq", "openai-eu", "gemini")
    assert meant("opnai", known) == "; did you mean openai or openai-eu?"
    assert meant("OpenAI", known).startswith("; did you mean openai")
    assert meant("Anthropic ", known) == "; did you mean anthropic?"


def test_nothing_near_is_no_suggestion() -> None:
    assert meant("zzz", ("openai", "acme")) == ""
    assert meant("nope", ()) == ""


def test_a_few_only() -> None:
    assert meant("cc-1", [f"cc-{i}" for i in range(100)]).count(" or ") == 2
