"""Scenes: what one press makes of a line."""

import pytest

from mpesa.simulator.scenes import BY_HAND, SCENES
from mpesa.simulator.script import Script, changed
from tests.simulator.test_switches import wait_for


def test_there_are_six_and_no_two_are_alike():
    played = {changed(Script(), scene.wishes) for scene in SCENES}

    assert len(SCENES) == len(played) == 6


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_a_scene_leaves_nothing_of_what_was_before_but_money_and_pin(scene):
    odd = Script(
        balance=7, pin="9876", after=9, callback_after=9, push="timeout", query="flaky",
        metadata="no_phone", again="locked", late_success_after=3,
    )  # fmt: skip

    played = changed(odd, scene.wishes)

    assert played == changed(Script(balance=7, pin="9876"), scene.wishes)


def test_a_payer_who_holds_the_phone_is_what_a_new_line_has():
    assert changed(changed(Script(), SCENES[-1].wishes), BY_HAND) == Script()


def play(shop, name):
    """Play a scene without its waits, and push."""
    [scene] = (each for each in SCENES if each.name == name)
    late = {"late_success_after": 0.05} if scene.wishes["late_success_after"] else {}
    shop.script(**{**scene.wishes, "after": 0, **late})
    shop.push()


@pytest.mark.parametrize(
    ("name", "codes"),
    [("Pays", [0]), ("Cancels", [1032]), ("Not enough money", [1]), ("Wrong PIN", [2001]),
     ("Paid late", [1019, 0])],
)  # fmt: skip
def test_the_shop_hears_what_the_scene_is_called(shop, name, codes):
    play(shop, name)

    assert [shop.next_callback()["ResultCode"] for _ in codes] == codes


def test_a_lost_callback_leaves_money_that_no_callback_tells_of(shop):
    play(shop, "Callback lost")

    wait_for(lambda: shop.get("/ledger"))
    assert shop.callbacks.empty()
