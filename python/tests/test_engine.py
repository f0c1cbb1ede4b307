"""Backbones, tasks, spaces, placements, gradient maps and the scorer."""

import copy
import pickle
import subprocess
import sys

import pytest

import adaplace
from tiny import REPOSITORY, SINGLE


def test_the_package_needs_no_other_library():
    code = "import sys, adaplace; print([m for m in ('torch', 'transformers', 'ray', 'pandas', 'numpy', 'matplotlib') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize(("module", "library", "extra"), [("torch", "torch", "torch"), ("ray", "ray", "ray")])
def test_a_missing_library_is_named_with_its_extra(module, library, extra):
    code = f"import sys; sys.modules['{library}'] = None; import adaplace.{module}"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert f"pip install 'adaplace[{extra}]'" in result.stderr


def test_a_backbone_tells_its_shape(backbone):
    assert (backbone.model_type, backbone.blocks, backbone.hidden_states, backbone.width) == ("bert", 2, 5, 32)
    assert backbone.pooling == "mean"
    assert len(backbone.weights_sha256) == 64


def test_the_precision_is_as_asked_for_and_automatically_one_of_both(backbone, folders):
    assert [adaplace.Backbone(folders[0], precision=one).precision for one in ("f32", "bf16")] == ["f32", "bf16"]
    # Which one depends on whether the processor multiplies bf16 matrices.
    assert backbone.precision in ("f32", "bf16")


def test_a_device_that_cannot_be_used_is_refused(backbone, folders):
    assert backbone.device == "cpu" and "on cpu" in repr(backbone)
    with pytest.raises(adaplace.AdaplaceError, match="built without cuda.*--features cuda"):
        adaplace.Backbone(folders[0], device="cuda:1")
    with pytest.raises(ValueError, match="`device`: `gpu`"):
        adaplace.Backbone(folders[0], device="gpu")


def test_a_task_tells_its_parts(task, folders):
    assert (task.train_examples, task.validation_examples, task.classes) == (48, 32, ["0", "1"])
    assert task.max_length == 12
    assert task.folder == folders[1]


def test_a_subset_is_drawn_by_its_seed(backbone, folders):
    subset = lambda seed: adaplace.Task(folders[1], backbone, train_examples=20, seed=seed)  # noqa: E731
    assert subset(1).train_examples == 20
    assert subset(1).fingerprint == subset(1).fingerprint != subset(2).fingerprint


def test_placements_are_sets():
    assert adaplace.Placement({(1, 2), (3, 4)}) == adaplace.Placement([(3, 4), (1, 2)])
    placement = adaplace.Placement([(3, 4), (4, 2, 4), adaplace.Connection(1, 1, 2, 0.5)])
    same = adaplace.Placement([(1, 1, 2, 0.5), (4, 2, 4, 1.0), (3, 4, 8)])
    assert placement == same and hash(placement) == hash(same) and placement.hash == same.hash
    assert placement != adaplace.Placement([(3, 4)])
    assert [one.kind for one in placement.connections] == ["sequential", "parallel", "recurrent"]
    assert (len(placement), placement.passes) == (3, 2)
    assert pickle.loads(pickle.dumps(placement)) == placement


# The bytes are those of search-space's documented hash; see crates/search-space/src/placement.rs for the command.
def test_the_hash_is_the_documented_one():
    assert adaplace.Placement([(3, 4, 16, 0.5), (9, 2, 8, 1.0)]).hash == "9da5f4b26fbc61ea"


def test_placement_files_read_back(backbone, tmp_path):
    placement = adaplace.Placement([(1, 3), (4, 0, 2, 0.25)])
    placement.write(tmp_path / "placement.toml", backbone)
    assert adaplace.Placement.read(tmp_path / "placement.toml") == placement
    assert (tmp_path / "placement.toml").read_text() == placement.to_toml(backbone)


def test_a_placement_file_names_its_backbone(backbone, tmp_path):
    path = tmp_path / "placement.toml"
    placement = adaplace.Placement([(1, 3), (4, 0, 2, 0.25)])
    placement.write(path, backbone)
    file = adaplace.PlacementFile.read(path)
    found = file.backbone
    assert (file.placement, found.model_type, found.hidden_states, found.width) == (placement, "bert", 5, 32)
    assert (found.pooling, found.weights_sha256) == (backbone.pooling, backbone.weights_sha256)
    again = adaplace.PlacementFile(placement, found)
    assert again == file and hash(again) == hash(file)
    assert pickle.loads(pickle.dumps(file)) == file and copy.deepcopy(file) == file


def test_a_space_samples_within_its_budget(space):
    assert len(space.connections) == 25 and space.size == 25
    placement = space.sample(3)
    assert placement in space and space.sample(3) == placement
    # one adapter of rank 2 at width 32: two matrices and two biases
    assert space.cost(placement)["parameters"] == 2 * 2 * 32 + 2 + 32
    assert adaplace.Placement([(0, 1, 2), (1, 2, 2)]) not in space


def test_a_space_tells_its_adapters_and_its_limits(backbone, task, space):
    # one adapter of rank r at width 32: two matrices and two biases
    assert space.adapters == [{"rank": 2, "scale": 1.0, "parameters": 2 * 2 * 32 + 2 + 32}]
    assert space.budget == {"adapters": 1, "min_adapters": 1, "parameters": None, "extra_flops": None}
    text = SINGLE.replace("[2]", "[8, 4]\nscale = 0.5").replace("adapters = 1", "adapters = 3\nmin_adapters = 2\nparameters = 999")
    other = adaplace.SearchSpace.from_toml(text, backbone, task)
    assert [(one["rank"], one["scale"]) for one in other.adapters] == [(4, 0.5), (8, 0.5)]
    assert other.budget == {"adapters": 3, "min_adapters": 2, "parameters": 999, "extra_flops": None}


def test_a_space_by_its_name_is_that_of_the_file(backbone, task):
    named = adaplace.SearchSpace("long-range", backbone, task)
    file = adaplace.SearchSpace(REPOSITORY / "search-spaces/long-range.toml", backbone, task)
    assert named.connections == file.connections and named.size == file.size


def test_a_gradient_map_holds_what_was_asked_for(backbone, task, tmp_path):
    map = adaplace.GradientMap.compute(backbone, task, statistics=["rank", "validation-alignment"], examples=40)
    assert map.examples == 40 and map.hidden_states == 5
    for statistic in ["rank", "nuclear-norm", "validation-alignment"]:
        assert [len(row) for row in map[statistic]] == [5] * 5
    with pytest.raises(KeyError, match="agreement"):
        map["agreement"]
    map.write(tmp_path / "map.json")
    again = adaplace.GradientMap.read(tmp_path / "map.json")
    assert again["validation-alignment"] == map["validation-alignment"]


def test_a_pickled_scorer_gives_the_same_scores(backbone, task):
    scorer = adaplace.Scorer(backbone, task, seed=5, batch_size=8)
    twin = pickle.loads(pickle.dumps(scorer))
    assert twin.probe_accuracy == scorer.probe_accuracy
    for placement in [adaplace.Placement([(1, 2)]), adaplace.Placement([(4, 1), (2, 2)])]:
        score = scorer.score(placement, steps=5)
        assert twin.score(placement, steps=5) == score == scorer.score(placement, steps=5, threads=1)
        assert scorer.score(placement, steps=5, repetition=1) != score
    with pytest.raises(adaplace.AdaplaceError, match="pickle the original"):
        pickle.dumps(twin)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda b, t: adaplace.Backbone("/no/such/folder"), "`/no/such/folder` does not exist"),
        (lambda b, t: adaplace.Backbone(b.folder, pooling="max"), "unknown variant `max`"),
        (lambda b, t: adaplace.Task("/no/such/task", b), "/no/such/task"),
        (lambda b, t: adaplace.Placement([(0, 1), (0, 1)]), "0->1"),
        (lambda b, t: adaplace.Connection(0, 1, rank=0), "rank"),
        (lambda b, t: adaplace.Connection(0, 1, scale=0.0), "the adapter scale 0 is not a finite number other than 0"),
        (lambda b, t: adaplace.PlacementFile.read("/no/such.toml"), "/no/such.toml"),
        (lambda b, t: adaplace.PlacementFile.from_document({}), "missing field `format`"),
        (lambda b, t: adaplace.SearchSpace.from_toml("[connections]", b, t), "missing field"),
        (lambda b, t: adaplace.SearchSpace("/no/such.toml", b, t), "/no/such.toml"),
        (lambda b, t: adaplace.GradientMap.compute(b, t, statistics=["beauty"]), "unknown variant `beauty`"),
        (lambda b, t: adaplace.GradientMap.compute(b, t, statistics=[]), "statistic"),
        (lambda b, t: adaplace.Scorer(b, t, learning_rate=-1.0), "`learning_rate`: -1 is out of range: it must be a number above 0"),
        (lambda b, t: adaplace.Scorer(b, t).score(adaplace.Placement([(0, 9)])), "0->9"),
        (lambda b, t: adaplace.Scorer(b, t).score(adaplace.Placement([(0, 1)]), steps=0), "`steps`: 0 is out of range: it must be at least 1"),
    ],
)
def test_bad_input_is_named(backbone, task, make, message):
    with pytest.raises((adaplace.AdaplaceError, ValueError)) as raised:
        make(backbone, task)
    assert message in str(raised.value)


def test_a_placement_of_another_chain_has_no_cost(space):
    with pytest.raises(adaplace.AdaplaceError, match="0->9"):
        space.cost(adaplace.Placement([(0, 9)]))


def test_whatever_is_public_says_what_it_is():
    from adaplace import _adaplace

    for name in _adaplace.__all__:
        one = getattr(_adaplace, name)
        if isinstance(one, type):
            members = [f"{name}.{member}" for member in vars(one) if not member.startswith("_")]
            undocumented = [member for member in members if not vars(one)[member.split(".")[1]].__doc__]
            assert one.__doc__ and not undocumented, (name, undocumented)
        else:
            assert one.__doc__, name
