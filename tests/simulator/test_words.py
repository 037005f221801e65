"""The virtual phone's page in two languages."""

import re

import pytest

from mpesa.simulator import phone, words
from mpesa.simulator.scenes import SCENES
from mpesa.simulator.standalone import create_app
from tests.servers import ROOT

SAID = re.compile(r"""say\(\s*(?:is\w+ \? "([^"]+)" : )?(?:"([^"]+)"|'([^']+)')""")
SAYS = [ROOT / "templates/simulator/phone.html", *(ROOT / "static/simulator").glob("*.js")]
# What a script says by another name than a text of its own: what the routes answer.
ANSWERED = {
    "This prompt is closed: it was answered or ran out.",
    "There is no prompt with this id.",
    "The simulator did not understand that.",
}


def said():
    """Every text that the page says in the reader's language."""
    in_files = {
        text
        for file in SAYS
        for found in SAID.findall(file.read_text("utf-8"))
        for text in found
        if text
    }
    labels = [label for label, _ in (phone._CHOICES | phone._TREATMENT).values()]
    numbers = re.findall(r'\("\w+", "([^"]+)", "([^"]+)"\)', SAYS[0].read_text("utf-8"))
    of_scenes = [text for scene in SCENES for text in (scene.name, scene.tells)]
    return {*in_files, *labels, *sum(numbers, ()), *of_scenes, *ANSWERED}


@pytest.fixture(scope="module")
def client():
    return create_app("Duka la Mfano", "threading", ROOT).test_client()


def test_every_text_has_its_kiswahili_and_there_is_no_other():
    assert set(words.SWAHILI) == said()


def test_values_stand_in_both_languages():
    for english, swahili in words.SWAHILI.items():
        assert re.findall(r"{\w+}", english) == re.findall(r"{\w+}", swahili)


@pytest.mark.parametrize(
    ("address", "accepted", "heading"),
    [
        ("/", "en-GB", "Virtual phone"),
        ("/", "sw-KE,en;q=0.5", "Simu ya majaribio"),
        ("/", "fr", "Virtual phone"),
        ("/?lang=sw", "en", "Simu ya majaribio"),
        ("/?lang=en", "sw", "Virtual phone"),
        ("/?lang=fr", "sw", "Simu ya majaribio"),
    ],
)
def test_the_page_speaks_the_language_of_its_reader(client, address, accepted, heading):
    page = client.get(address, headers={"Accept-Language": accepted})

    assert f"<h1>{heading}</h1>" in page.text
    assert page.headers["Vary"] == "Accept-Language"


def test_each_page_leads_to_the_other_language(client):
    assert 'href="?lang=sw"' in client.get("/?lang=en").text
    assert 'href="?lang=en"' in client.get("/?lang=sw").text
