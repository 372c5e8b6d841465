"""Every network of a checkpoint is found, without its wrappers, and averages are known."""

from collections.abc import Mapping
from itertools import permutations
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clearbench.encoders.weights.networks import (
    averages_in_lists,
    is_average,
    keys_outside,
    saved_networks,
    without_wrappers,
)

STATE = {"conv.weight": torch.ones(2), "fc.bias": torch.zeros(1)}


def found(checkpoint: Mapping[str, Any]) -> dict[str, bool]:
    """Return the places of the networks in a checkpoint, and whether each is an average."""
    return {network.name: network.averaged for network in saved_networks(checkpoint)}


def renamed(prefix: str) -> dict[str, Any]:
    return {prefix + key: value for key, value in STATE.items()}


@pytest.mark.parametrize(
    ("checkpoint", "networks"),
    [
        (STATE, {"": False}),
        (
            {"state_dict": STATE, "state_dict_ema": STATE},
            {"state_dict": False, "state_dict_ema": True},
        ),
        ({"model": STATE, "model_ema": STATE}, {"model": False, "model_ema": True}),
        ({"model": STATE, "ema": {"module": STATE, "updates": 3}}, {"model": False, "ema": True}),
        ({"student": STATE, "teacher": STATE}, {"student": False, "teacher": True}),
        ({"encoder": STATE, "target_encoder": STATE}, {"encoder": False, "target_encoder": True}),
        (
            {"state_dict": STATE, "callbacks": {"EMACallback": {"ema_state_dict": STATE}}},
            {"state_dict": False, "callbacks.EMACallback.ema_state_dict": True},
        ),
        ({"params": STATE, "params_ema": STATE}, {"params": False, "params_ema": True}),
        # Lightning's WeightAveraging keeps the average as the state dict
        (
            {"state_dict": STATE, "current_model_state": STATE, "averaging_state": {"n": 3}},
            {"state_dict": True, "current_model_state": False},
        ),
        # MMEngine exchanges the two
        (
            {"state_dict": STATE, "ema_state_dict": STATE, "meta": {"mmengine_version": "0.10"}},
            {"state_dict": True, "ema_state_dict": False},
        ),
        (
            {"state_dict": STATE, "ema_state_dict": STATE},
            {"state_dict": False, "ema_state_dict": True},
        ),
        ({"model": STATE, "optimizer": {"state": {0: {"m": torch.ones(2)}}}}, {"model": False}),
        ({"epoch": 3, "model": [1, 2]}, {}),
    ],
)  # fmt: skip
def test_networks_and_their_averages_are_found(
    checkpoint: dict[str, Any], networks: dict[str, bool]
) -> None:
    assert found(checkpoint) == networks


@pytest.mark.parametrize("order", [*permutations(("module.", "_orig_mod.", "_forward_module."))])
def test_wrappers_are_removed_in_any_order(order: tuple[str, ...]) -> None:
    assert without_wrappers(renamed("".join(order))) == STATE


@given(
    st.lists(
        st.sampled_from(("module.", "_orig_mod.", "_fsdp_wrapped_module.", "_forward_module.")),
        max_size=5,
    )
)
def test_any_stack_of_wrappers_is_removed(stack: list[str]) -> None:
    assert without_wrappers(renamed("".join(stack))).keys() == STATE.keys()


def test_only_wrappers_are_removed() -> None:
    state = {"stem.module.weight": 1, "blocks._orig_mod.0.bias": 2, "module": 3}
    assert without_wrappers(state) == {"stem.module.weight": 1, "blocks.0.bias": 2, "module": 3}
    twice = {"module.weight": 1, "weight": 2}
    assert without_wrappers(twice) == twice, "two names that become one are no wrappers"


@pytest.mark.parametrize(
    ("word", "average"),
    [
        ("state_dict_ema", True),
        ("model_ema", True),
        ("ema", True),
        ("EMACallback", True),
        ("teacher_backbone", True),
        ("momentum_encoder", True),
        ("encoder_k", True),
        ("average_model_state", True),
        ("swa_model", True),
        ("model", False),
        ("state_dict", False),
        ("schema", False),
        ("student", False),
        ("encoder_q", False),
        ("base_encoder", False),
    ],
)
def test_an_average_is_told_by_its_name(word: str, average: bool) -> None:
    assert is_average(word) == average


def test_parts_inside_a_state_dict_know_what_they_are() -> None:
    state = (
        renamed("student.module.")
        | renamed("teacher._orig_mod.")
        | {"loss.weight": STATE["fc.bias"].clone()}
    )
    [whole] = saved_networks({"state_dict": state})
    parts = {part.name: part for part in whole.parts()}
    assert parts.keys() == {"state_dict.student", "state_dict.teacher", "state_dict.loss"}
    assert parts["state_dict.teacher"].averaged
    assert not parts["state_dict.student"].averaged
    assert parts["state_dict.student"].state.keys() == STATE.keys()


def test_what_is_beside_a_part_is_named() -> None:
    state = {f"model.{key}": value.clone() for key, value in STATE.items()}
    [whole] = saved_networks({"state_dict": state | {"loss.weight": torch.ones(3)}})
    [model, _] = whole.parts()
    assert keys_outside(model, [whole]) == ["loss.weight"]
    assert keys_outside(whole, [whole]) == []


def test_named_tensors_can_be_left_out() -> None:
    [whole] = saved_networks(STATE)
    assert whole.without(["fc."]).state.keys() == {"conv.weight"}
    assert whole.without([]).state.keys() == STATE.keys()


@pytest.mark.parametrize(
    ("checkpoint", "places"),
    [
        ({"model": STATE, "ema": {"shadow_params": [*STATE.values()]}}, ["ema.shadow_params"]),
        ({"state_dict": STATE, "optimizer_states": [{"ema": tuple(STATE.values())}]},
         ["optimizer_states.0.ema"]),
        ({"state": {"model": STATE, "algorithms": [("EMA", {"ema_model": {"named": STATE}})]}},
         ["state.algorithms.0.EMA.ema_model.named"]),
        ({"model": STATE, "optimizer": {"state": [{"exp_avg": torch.ones(2)}]}}, []),
        ({"model": STATE, "ema": STATE, "losses": [torch.ones(1), torch.ones(1)]}, []),
        ({"model": STATE, "callbacks": {"swa": {"n": 3, "seen": [1, 2]}}}, []),
    ],
)  # fmt: skip
def test_an_average_that_is_a_list_is_found(checkpoint: Any, places: list[str]) -> None:
    assert averages_in_lists(checkpoint) == places
