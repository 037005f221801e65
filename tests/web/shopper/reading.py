"""Reads the checkout page as a shopper sees it, without its script."""

import html
import json
import re
from html.parser import HTMLParser


def page(client, order_id, **more):
    answer = client.get(f"/checkout/{order_id}", **more)
    assert answer.status_code == 200, answer.text
    assert answer.mimetype == "text/html"
    # The style names states as well, and is no part of what is shown.
    return re.sub(r"<style>.*?</style>", "", answer.text, flags=re.DOTALL)


def view(text):
    return re.search(r'data-view="([a-z_]+)"', text)[1]


def snapshot_in(text):
    return json.loads(html.unescape(re.search(r'data-snapshot="([^"]*)"', text)[1]))


class Seen(HTMLParser):
    """Keeps the tags and the words that are not inside of something hidden."""

    def __init__(self):
        super().__init__()
        self.kept, self.inside = [], 0

    def handle_starttag(self, tag, attributes):
        hidden = self.inside or tag == "template" or "hidden" in dict(attributes)
        if not hidden:
            self.kept.append(self.get_starttag_text())
        elif tag not in ("input", "img", "br", "link", "meta", "path", "rect", "circle"):
            self.inside += 1

    def handle_startendtag(self, tag, attributes):
        if not self.inside:
            self.kept.append(self.get_starttag_text())

    def handle_endtag(self, tag):
        self.inside = max(0, self.inside - 1)

    def handle_data(self, words):
        if not self.inside:
            self.kept.append(words)


def seen(text):
    """What is on the screen."""
    reader = Seen()
    reader.feed(text)
    return "".join(reader.kept)


def headline(text):
    return re.search(r'<h2 id="headline"[^>]*>([^<]*)<', text)[1]


def shown(text, field):
    """The values of a field of the snapshot for which something is shown."""
    found = re.findall(rf'data-if="{field}" data-is="([^"]*)"( hidden)?', text)
    return [values for values, hidden in found if not hidden]


def visible(text):
    """The page without the words that it keeps for its script."""
    return re.sub(r"<template.*</template>|<[^>]+>", "", text, flags=re.DOTALL)
