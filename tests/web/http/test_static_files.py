"""Static files are kept for ever under addresses that change with their content."""

import re

import pytest

from mpesa.web.http.static_files import version_of

FOR_EVER = "public, max-age=31536000, immutable"


def addresses(client, path="/"):
    """The addresses of static files that a page names."""
    return re.findall(r'"(/static/[^"]+)"', client.get(path).text)


def fetched(client, address, **headers):
    """The answer, its file read and closed."""
    with client.get(address, headers=headers) as answer:
        answer.get_data()
        return answer


def test_a_page_names_every_file_by_its_version_and_each_is_kept_for_ever(client, make_order):
    found = addresses(client) + addresses(client, f"/checkout/{make_order()}")

    assert found
    for address in found:
        answer = fetched(client, address)
        assert answer.status_code == 200, address
        assert answer.headers["Cache-Control"] == FOR_EVER, address


def test_scripts_import_each_other_at_the_same_version(client, make_order):
    found = addresses(client, f"/checkout/{make_order()}")
    script = next(each for each in found if each.endswith("/checkout/page.js"))
    text = fetched(client, script).text

    imported = re.findall(r'from "[.]/([a-z_]+[.]js)"', text)

    assert imported
    for name in imported:
        answer = fetched(client, script.replace("page.js", name))
        assert answer.headers["Cache-Control"] == FOR_EVER


def test_a_page_of_the_version_before_gets_its_files_but_keeps_them_not(client):
    answer = fetched(client, "/static/0123456789ab/css/app.css")

    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-cache"


def test_a_file_without_a_version_is_asked_about_each_time(client):
    first = fetched(client, "/static/css/app.css")
    tag = first.headers["ETag"]
    again = fetched(client, "/static/css/app.css", **{"If-None-Match": tag})
    weakened = fetched(client, "/static/css/app.css", **{"If-None-Match": f"W/{tag}"})

    assert first.headers["Cache-Control"] == "no-cache"
    assert (again.status_code, weakened.status_code) == (304, 304)


@pytest.mark.parametrize("name", ["nothing.js", "../app.py", "0123456789ab/css/app.css"])
def test_what_is_not_there_is_kept_by_nobody(client, name):
    version = addresses(client)[0].split("/")[2]

    answer = client.get(f"/static/{version}/{name}")

    assert answer.status_code == 404
    assert "immutable" not in answer.headers.get("Cache-Control", "")


def test_the_version_changes_with_a_files_content_and_with_its_name(tmp_path):
    (tmp_path / "a.css").write_text("a")
    versions = [version_of(tmp_path)]
    (tmp_path / "a.css").write_text("b")
    versions.append(version_of(tmp_path))
    (tmp_path / "a.css").rename(tmp_path / "b.css")
    versions.append(version_of(tmp_path))

    assert len(set(versions)) == 3
    assert version_of(tmp_path) == versions[-1]
