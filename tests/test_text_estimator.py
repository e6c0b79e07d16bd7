"""TextVAE: the verbs, what is promised of them, and what is refused."""

import numpy as np
import pytest
import torch
from sentences import sentences

import variate as vt
from variate import TextVAE
from variate.errors import DataError, DataWarning, OptionError, SchemaError
from variate.text import Fidelity, Sampling
from variate.text import codeless as beside
from variate.text.codec import TextCodec
from variate.text.intake import made_ready
from variate.text.network import assembled
from variate.text.reading import Texts, read
from variate.text.tokenwise import tokenwise

TEXT = sentences(1_000)
TEST = TEXT[:60]
SMALL = {"latent": 8, "reader": vt.readers.Recurrent(hidden=64, embedding=32), "vocabulary": 320}


@pytest.fixture(scope="module")
def model():
    return TextVAE(**SMALL, epochs=14, batch_size=32, learning_rate=6e-3).fit(TEXT[60:])


def test_the_code_is_used_by_default(model):
    held_out = model.facts_["held_out"]
    assert held_out["active_units"] >= 4
    assert held_out["kl"] > 2
    assert held_out["elbo"] <= held_out["log_likelihood"]
    assert model.facts_["sentences"] == 940
    assert model.facts_["vocabulary"] == 320


def test_sentences_are_drawn(model):
    drawn = model.sample(40, seed=0)
    assert len(drawn) == 40
    assert drawn == model.sample(40, seed=0)
    assert drawn != model.sample(40, seed=1)
    assert len(set(drawn)) > 25
    assert all("\ufffd" not in sentence for sentence in drawn)
    likely = model.sample(40, seed=0, top_p=0.8)
    assert np.mean([s[-1:] in (".", "?") for s in likely]) > 0.9
    assert len(set(model.sample(40, seed=0, temperature=0.2))) < len(set(drawn))


def test_a_code_tells_of_its_sentence(model):
    """Reconstructions are nearer to their own sentence than to others."""
    again = model.reconstruct(TEST)
    questions = [s.startswith("does") for s in TEST]
    assert np.mean([r.startswith("does") == q for r, q in zip(again, questions, strict=True)]) > 0.8


def test_the_verbs_give_as_many_as_they_should(model):
    assert model.encode(TEST).mean.shape == (60, 8)
    assert model.transform(TEST).shape == (60, 8)
    assert len(model.decode(np.zeros((2, 8)))) == 2
    assert len(model.vary(TEST[:2], 3, seed=0)) == 6
    assert model.vary(TEST[:2], 1, strength=0.0) == model.reconstruct(TEST[:2])
    way = model.interpolate(TEST[:1], TEST[1:2], 7)
    assert [way[0], way[-1]] == model.reconstruct(TEST[:2])
    assert model.score_table(TEST[:3]).column_names == ["text", "log_likelihood"]


def test_a_score_is_the_sentences_own(model):
    scores = model.score_samples(TEST)
    assert scores.shape == (60,)
    np.testing.assert_allclose(model.score_samples(TEST[7:8]), scores[7:8], rtol=1e-5)
    odd = model.score_samples(["ball red the the sea a night joy."])
    assert odd[0] < np.quantile(scores, 0.02)


def test_any_script_has_a_score(model):
    found = model.score_samples(["猫は寝る。", "🙂", "Ωx"])
    assert np.isfinite(found).all()
    assert all(isinstance(s, str) for s in model.reconstruct(["猫は寝る。", "🙂"]))


def test_odd_sentences_are_alarms_with_their_words(model):
    odd = [*TEST[:20], "the cat sees xq#7@ today."]
    model.recalibrate(TEST[20:])
    alarms = model.detect(odd, fdr=0.5)
    assert alarms.anomaly[-1]
    assert "xq#7@" in alarms.reasons[-1]


def test_a_sentence_that_is_too_long_is_an_alarm_in_any_case(model):
    model.recalibrate(TEST[20:])
    found = model.detect([*TEST[:3], "the cat sees the sea and " * 30], fdr=0.05)
    assert found.anomaly[-1]
    assert "tokens, and this model's sentences at most" in found.reasons[-1]
    np.testing.assert_allclose(found.score[:3], -model.score_samples(TEST[:3]), rtol=1e-5)
    with pytest.raises(DataError, match=r"row 0 .* cannot be held to be normal: has"):
        model.recalibrate(["the cat sees the sea and " * 30])


def test_long_sentences_are_looked_at_in_smaller_blocks():
    codec = TextCodec(vocabulary=256, length=1_000).fit(TEXT[:10])
    parts = vt.posteriors.DiagonalGaussian(2), vt.priors.StandardNormal(2)
    for length, block in ((128, 64), (1_000, 8), (60_000, 4)):
        codec.length = length + 1
        made = assembled(codec, vt.readers.Recurrent(8, 4), 2, 0.0, *parts)
        assert made.decoder.block == block


def test_a_direction_leads_from_one_sort_to_another(model):
    questions = [s.startswith("does") for s in TEXT[60:]]
    towards = model.direction(TEXT[60:], questions)
    told = [s for s in TEST if not s.startswith("does")]
    before = np.mean([s.startswith("does") for s in model.reconstruct(told)])
    moved = np.mean([s.startswith("does") for s in model.move(told, towards, 1.5)])
    assert moved > before + 0.5
    with pytest.raises(DataError, match="all labels are the same"):
        model.direction(TEST, [True] * 60)
    with pytest.raises(OptionError, match="the direction must be 8 finite numbers"):
        model.move(TEST, np.zeros(3))
    for strength in (np.nan, np.inf, "far"):
        with pytest.raises(OptionError, match="strength must be a"):
            model.move(TEST, np.zeros(model.latent_), strength)


@pytest.fixture(scope="module")
def labelled():
    kinds = ["question" if s.startswith("does") else "statement" for s in TEXT[60:]]
    return TextVAE(**SMALL, epochs=12, batch_size=32, learning_rate=6e-3).fit(TEXT[60:], kinds)


def asked(found):
    return np.mean([s.startswith("does") for s in found])


def test_sentences_are_drawn_given_a_label(labelled, tmp_path):
    assert labelled.codec_.labels == ["question", "statement"]
    assert asked(labelled.sample(50, given="question", seed=0, top_p=0.9)) > 0.9
    assert asked(labelled.sample(50, given="statement", seed=0, top_p=0.9)) < 0.1
    assert 0.02 < asked(labelled.sample(100, seed=0)) < 0.6  # a fifth of them are
    again = vt.load(labelled.save(tmp_path / "a.variate"))
    assert again.sample(5, given="question", seed=1) == labelled.sample(5, given="question", seed=1)
    with pytest.raises(OptionError, match="there is no label 'poem'; there is: 'question', 'state"):
        labelled.sample(1, given="poem")


def test_sentences_are_rewritten_under_another_label(labelled):
    told = [s for s in TEST if not s.startswith("does")][:40]
    assert asked(labelled.relabel(told, "question")) > 0.8
    assert asked(labelled.relabel(told, "statement")) < 0.1
    assert np.isfinite(labelled.score_samples(told)).all()
    assert labelled.evaluate(TEST[:20]).figures["teacher_forced_accuracy"] > 0.4


def test_a_sentence_keeps_its_label_in_all_that_is_made_of_it(labelled):
    kinds = ["question" if s.startswith("does") else "statement" for s in TEST]
    texts = read(TEST).labelled(kinds)
    again = labelled.reconstruct(texts)
    for kind in set(kinds):
        own = [i for i, k in enumerate(kinds) if k == kind]
        assert [again[i] for i in own] == labelled.relabel(texts.part(own), kind)
    assert again != labelled.reconstruct(TEST)  # which have none
    assert labelled.vary(texts, 2, strength=0.0) == [s for s in again for _ in range(2)]
    assert labelled.move(texts, np.zeros(8)) == again
    two = [texts.part([i]) for i in range(60) if kinds[i] == "question"][:2]
    way = labelled.interpolate(*two, 3)
    assert [way[0], way[-1]] == [labelled.reconstruct(one)[0] for one in two]
    x = labelled._rows(texts)
    read_again = Texts(labelled.codec_.decode(x), labels=labelled.codec_.labels_in(x))
    assert torch.equal(labelled._rows(read_again), x)


def test_what_tokens_contribute_is_all_of_log_p(labelled):
    """With a label before them the last place of the longest sentence was left out."""
    x = labelled._rows(read(TEST[:8]).labelled(["question"] * 8))
    told = tokenwise(labelled.model_, x)
    z = vt.verbs.encode(labelled.model_, x)[0].float()
    with torch.no_grad():
        whole = labelled.model_.decoder(z[None]).log_prob(x)[0]
    torch.testing.assert_close(-told.surprise.sum(1), whole, rtol=1e-4, atol=1e-3)


def test_labels_that_are_none_or_far_too_many():
    with pytest.raises(DataError, match="no sentence has a label"):
        TextVAE(epochs=1).fit(TEXT[:50], [None] * 50)
    many = [f"{s} {n}" for n in range(2) for s in TEXT]
    with pytest.raises(DataError, match=r"there are 2,000 different labels .* at most 1,000"):
        TextVAE(epochs=1).fit(many, range(2_000))


def test_sizes_that_no_model_file_may_ask_for():
    for wrong in ({"length": 70_000}, {"vocabulary": 1 << 21}):
        with pytest.raises(OptionError, match="must be at most"):
            TextVAE(**wrong, epochs=1).fit(TEXT[:50])


def test_numbers_are_not_taken_for_text_without_a_word(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("age\n" + "".join(f"{n}\n" for n in range(30)))
    with pytest.warns(DataWarning, match=r"a.csv: the text is numbers \(the first is '0'\)"):
        made_ready(TextCodec(260, column="age"), read(path, "age"), 0)


def test_labels_must_fit(tmp_path):
    with pytest.raises(DataError, match="there are 3 labels for 50 sentences"):
        TextVAE(epochs=1).fit(TEXT[:50], ["a", "b", "c"])
    path = tmp_path / "a.csv"
    rows = [f'"{s}",{len(s) > 32}' for s in TEXT[:60]]
    path.write_text("\n".join(["said,long", *rows]))
    made = TextVAE(**SMALL, label="long", epochs=1).fit(path)
    assert made.codec_.labels == ["False", "True"]
    assert len(made.sample(2, given=True)) == 2


def test_a_saved_model_is_the_same(model, tmp_path):
    again = vt.load(model.save(tmp_path / "a.variate"))
    assert isinstance(again, TextVAE)
    assert again.reader == SMALL["reader"]
    assert again.sample(5, seed=3, top_p=0.9) == model.sample(5, seed=3, top_p=0.9)
    np.testing.assert_allclose(again.score_samples(TEST[:4]), model.score_samples(TEST[:4]))
    assert again.calibration_.rows == model.calibration_.rows


def test_an_evaluation_has_the_figures_of_the_page(model, tmp_path):
    figures = model.evaluate(TEST, train=TEXT[60:]).figures
    assert figures["reconstruction"] == pytest.approx(-figures["elbo"] - figures["kl"])
    words = sum(len(s.split()) + 1 for s in TEST)
    per_word = -figures["log_likelihood"] * 60 / words
    assert figures["perplexity"] == pytest.approx(np.exp(per_word))
    assert figures["teacher_forced_accuracy"] > figures["free_running_accuracy"] > 0.2
    assert 0 < figures["mutual_information"] < np.log(60) + 0.5
    assert figures["copied"] < 0.9
    assert {"exact", "bleu", "chrf", "self_bleu", "distinct_2", "near_copies"} <= figures.keys()
    evaluation = model.evaluate(TEST[:20])
    page = evaluation.to_html(tmp_path / "a.html").read_text()
    for title in ("Is the code used?", "Drawn sentences", "Between sentences", "The strangest"):
        assert title in page


def test_a_language_model_of_the_same_size_is_trained_beside(model):
    figures = model.evaluate(TEST, train=TEXT[60:], without_z=True).figures
    assert figures["gain"] == pytest.approx(figures["log_likelihood"] - figures["without_z"])
    with pytest.raises(OptionError, match="needs the sentences that it was fitted on"):
        model.evaluate(TEST, without_z=True)


def test_a_code_costs_little_where_no_words_are_hidden_from_either():
    """Hiding them holds one of the two back: the language model, were they hidden from it."""
    made = TextVAE(
        **SMALL, epochs=14, batch_size=32, learning_rate=6e-3, preset=Sampling(word_dropout=0.0)
    ).fit(TEXT[60:])
    assert abs(made.evaluate(TEST, train=TEXT[60:], without_z=True).figures["gain"]) < 4


def test_the_language_model_learns_from_the_same_sentences(monkeypatch):
    """Else `gain` would compare what saw more with what saw less."""

    few = [*TEXT[:300], *TEXT[:20]]
    made = TextVAE(**SMALL, epochs=1).fit(few)
    seen = {}

    def taught(model, objective, data, **options):
        seen.update(data=data, hidden=model.decoder.net.inputs.word_dropout, **options)
        return train(model, objective, data, **options)

    train = beside.train
    monkeypatch.setattr(beside, "train", taught)
    texts = made.codec_.received(few)
    found = beside.taught_without_code(made, texts, made._rows(TEST[:4]))
    prepared = made_ready(TextCodec(320), texts, made.seed)
    assert torch.equal(seen["data"].data, prepared.training.data)
    assert torch.equal(seen["validation"], prepared.validation)
    assert found.steps == made.facts_["steps"]
    assert seen["hidden"] == 0
    assert made.model_.decoder.net.inputs.word_dropout > 0


def test_presets_and_readers_are_objects():
    few = TEXT[:100]
    reader = vt.readers.Transformer(32, 16, 1, 2)
    made = TextVAE(preset=Fidelity(latent=12), reader=reader, vocabulary=300, epochs=1).fit(few)
    assert made.latent_ == 12
    assert made._objective().objective.nats_per_group == 60
    assert TextVAE(preset=Sampling(nats=3.0))._objective().objective.nats_per_group == 3.0
    for wrong, told in (({"preset": "fidelity"}, "preset must be an object"),
                        ({"reader": 3}, "reader must be an object"),
                        ({"vocabulary": 100}, "vocabulary must be at least 256")):  # fmt: skip
        with pytest.raises(OptionError, match=told):
            TextVAE(**wrong).fit(few)
    with pytest.raises(OptionError, match="must be at least 0"):
        Sampling(nats=-1.0)
    with pytest.raises(OptionError, match="must be a multiple of heads"):
        vt.readers.Transformer(hidden=30)


@pytest.mark.slow
def test_what_the_page_says_of_the_presets():
    """The figures of docs/text.md, which come from this very run, with room for other machines."""
    text = sentences(1_150)
    train, test = text[:1_050], text[1_050:]
    reader = vt.readers.Recurrent(hidden=128, embedding=64)
    found = {}
    for preset in (Sampling(), Fidelity(latent=32)):
        model = TextVAE(preset=preset, vocabulary=320, reader=reader, epochs=50, batch_size=32,
                        learning_rate=4e-3).fit(train)  # fmt: skip
        found[type(preset)] = model.evaluate(test, train=train, draws=16).figures
    drawing, copying = found[Sampling], found[Fidelity]
    assert -8.5 < drawing["log_likelihood"] < -np.log(1_470) + 0.3
    assert drawing["mutual_information"] > 3
    assert drawing["active_units"] == copying["active_units"] == 32
    assert copying["exact"] > 0.95
    assert drawing["exact"] < 0.4


def test_what_cannot_be_drawn(model):
    for wrong in ({"top_p": 0.0}, {"top_p": 1.5}, {"temperature": 0.0}, {"given": {"a": 1}},
                  {"top_p": "much"}, {"n": None}):  # fmt: skip
        with pytest.raises(OptionError):
            model.sample(**({"n": 2} | wrong))
    with pytest.raises(OptionError, match=r"takes at least 2 of them.*give more items"):
        model.evaluate(TEST[:1])


# -- bad input ----------------------------------------------------------------------------------


def test_one_sentence():
    with pytest.raises(DataError, match="there is one sentence, and a model is fitted to many"):
        TextVAE(epochs=1).fit(["Only this."])
    with pytest.raises(DataError, match="all 5 sentences are the same"):
        TextVAE(epochs=1).fit(["Only this."] * 5)


def test_a_sentence_longer_than_the_models(model, tmp_path):
    long = "the cat sees the sea " * 30
    with pytest.raises(SchemaError, match=r"item 1 .*'the cat sees .* has \d+ tokens, and this"):
        model.score_samples([TEST[0], long])
    path = tmp_path / "new.txt"
    path.write_text(f"{TEST[0]}\n\n{long}\n")
    with pytest.raises(SchemaError, match=r"new.txt, line 3: the sentence"):
        model.encode(path)


def test_long_sentences_are_left_out_of_training():
    long = "the cat sees the sea and " * 40
    with pytest.warns(DataWarning, match=r"1 of 101 sentences .* are left out"):
        made = TextVAE(**SMALL, epochs=1, length=40).fit([*TEXT[:100], long])
    assert made.facts_["too_long"] == 1
    assert made.facts_["training_rows"] < 100


@pytest.mark.filterwarnings("ignore::variate.errors.DataWarning")
def test_all_sentences_are_too_long():
    with pytest.raises(DataError, match="all sentences have more than length=2"):
        TextVAE(**SMALL, epochs=1, length=2).fit(TEXT[:50])


def test_duplicates_are_on_one_side_only():
    texts = Texts([s for s in TEXT[:200] for _ in range(3)])
    prepared = made_ready(TextCodec(), texts, 0)
    decode = prepared.codec.decode
    training = set(decode(prepared.training.data))
    others = [set(decode(part)) for part in (prepared.validation, prepared.held_out)]
    assert not training & others[0]
    assert not training & others[1]
    assert not others[0] & others[1]
    assert prepared.notes["duplicates"] == 400
    assert prepared.training.items + len(prepared.validation) + len(prepared.held_out) == 600


def test_files_are_fitted(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("id,said\n" + "".join(f'{n},"{s}"\n' for n, s in enumerate(TEXT[:60])))
    made = vt.fit(path, kind="text", column="said", epochs=1, **SMALL)
    assert made.facts_["source"] == "a.csv"
    assert len(made.score_samples(path)) == 60
    txt = tmp_path / "a.txt"
    txt.write_text("\n".join(TEXT[:60]))
    assert isinstance(vt.fit(txt, epochs=1, **SMALL), TextVAE)


@pytest.mark.filterwarnings("ignore::variate.errors.CollapseWarning")
def test_half_precision_and_other_objectives():
    for options in ({"precision": "bfloat16"}, {"objective": vt.objectives.FreeBits(0.2)},
                    {"prior": vt.priors.Mixture(8, 4)}, {"prior": vt.priors.Vamp(8, 4)},
                    {"prior": vt.priors.StandardNormal(8)},
                    {"posterior": vt.posteriors.LowRankGaussian(8, 1)}):  # fmt: skip
        made = TextVAE(**SMALL, epochs=1, **options).fit(TEXT[:80])
        assert len(made.sample(2, seed=0)) == 2
        assert torch.isfinite(torch.from_numpy(made.score_samples(TEXT[:2]))).all()
