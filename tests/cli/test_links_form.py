"""The snippet of ``visitor-sync help links`` in a real browser, and what a submitted form does for a run."""

from __future__ import annotations

import os
import re
import subprocess
from functools import cache
from typing import TYPE_CHECKING

import pytest
from browser import WAIT_S, browsing
from program import COMMAND, row
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from etl.sandbox.hubspot_schema import Definition

if TYPE_CHECKING:
    from collections.abc import Iterator

    from program import Program
    from selenium.webdriver import Chrome
    from selenium.webdriver.remote.webelement import WebElement

pytestmark = pytest.mark.slow

LINK = "zenovay_form_visitor_id"
OTHER = "another_field"
ANN = "ann@example.test"
WITNESS = """<script>
window.troubles = [];
["error", "unhandledrejection"].forEach(function (name) {
  window.addEventListener(name, function (event) { troubles.push(String(event.message || event.reason)); });
});
</script>"""

OLDER = """<script>
window.heard = [];
setTimeout(function () {
  var frame = document.body.appendChild(document.createElement("iframe"));
  frame.contentDocument.body.innerHTML = '<form><input type=hidden name=LINK value=""></form>';
  ["input", "change"].forEach(function (name) {
    frame.contentDocument.addEventListener(name, function (event) {
      heard.push(name + " " + event.target.value);
    });
  });
  postMessage({type: "hsFormCallback", eventName: "onFormReady", id: "1"}, "*");
}, 500);
postMessage("of somebody else's", "*");
postMessage(null, "*");
</script>
""".replace("LINK", LINK)
"""What HubSpot's script does on a page, as far as it matters: a form in a frame, some time later."""

NEWER = """<script>
window.values = [];
setTimeout(function () {
  var form = {setFieldValue: function (name, value) { values.push([name, value]); }};
  window.HubSpotFormsV4 = {GETTER: function () { return FOUND; }};
  dispatchEvent(new CustomEvent("hs-form-event:on-ready", {detail: {formId: "1"}}));
}, 500);
</script>
"""
"""The same of the newer editor: a form, somewhere, whose fields are set through its object."""


@pytest.fixture(scope="module")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with browsing(tmp_path_factory.mktemp("browser")) as chrome:
        chrome.execute_cdp_cmd("Network.enable", {})
        yield chrome


@cache
def printed(link: str) -> str:
    """The snippet as the user is shown it."""
    shown = subprocess.run(
        [COMMAND, "help", "links"],
        env={**os.environ, "SYNC_LINK_PROPERTY": link},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    (snippet,) = re.findall(r"^```html\n(.*?)^```$", shown, re.MULTILINE | re.DOTALL)
    return str(snippet)


class Page:
    """The company's page with its form, the snippet as it was printed, and a person before it."""

    def __init__(self, chrome: Chrome, program: Program) -> None:
        self.chrome = chrome
        self.program = program
        self.link = program.settings["SYNC_LINK_PROPERTY"]

    def open(self, before: str = "", *, blocked: bool = False, field: str = LINK) -> None:
        """With ``before`` the snippet; where Zenovay is ``blocked``, its script never loads.

        ``field`` is the name of the hidden one that the form has from the start.
        """
        urls = ["*/zenovay.js"] if blocked else []
        self.chrome.execute_cdp_cmd("Network.setBlockedURLs", {"urls": urls})
        self.program.sandbox.hubspot.form_snippet = WITNESS + before + printed(self.link)
        self.chrome.get(f"{self.program.sandbox.url}/form?property={field}")

    def find(self, selector: str) -> WebElement:
        return self.chrome.find_element(By.CSS_SELECTOR, selector)

    def value(self, name: str = LINK) -> str:
        return self.find(f'[name="{name}"]').get_property("value") or ""  # type: ignore[return-value]

    def wait_for(self, name: str = LINK) -> str:
        """What the field holds as soon as it holds something."""
        return WebDriverWait(self.chrome, WAIT_S, 0.05).until(lambda _: self.value(name))

    def send(self, address: str = ANN) -> str:
        """Fill it in as a person does; the title of the answer."""
        self.find("[name=email]").send_keys(address)
        assert self.chrome.execute_script("return window.troubles") == []
        self.find("form").find_element(By.TAG_NAME, "button").click()
        WebDriverWait(self.chrome, WAIT_S, 0.05).until(lambda chrome: chrome.title != "Contact us")
        return self.chrome.title


@pytest.fixture
def page(chrome: Chrome, program: Program) -> Page:
    definition = Definition(LINK, "string", "text", "zenovay", "Visitor id", form_field=True)
    with program.sandbox.hubspot.lock:
        program.sandbox.hubspot.schema.add(definition)
    program.settings["SYNC_LINK_PROPERTY"] = LINK
    return Page(chrome, program)


def only_contact(program: Program) -> dict[str, str]:
    (contact,) = program.sandbox.hubspot.contacts.values()
    return contact


def test_who_fills_in_the_form_gets_the_visitor_s_facts(page: Page) -> None:
    program = page.program
    page.open()
    visitor_id = page.wait_for()
    assert re.fullmatch("v[0-9a-f]{32}", visitor_id)
    assert page.send() == "Thank you"
    assert only_contact(program)[LINK] == visitor_id

    program.visitors(row(1, id=visitor_id, country_code="PE", pageviews=7))
    ended = program.run()

    assert ended.exit_code == 0
    assert (ended.summary["contacts"]["created"], ended.summary["contacts"]["updated"]) == (0, 1)
    contact = only_contact(program)
    assert (contact["email"], contact["country"], contact["zenovay_pageviews"]) == (ANN, "Peru", "7")


def test_facts_from_before_the_form_come_along(page: Page) -> None:
    program = page.program
    page.open()
    visitor_id = page.wait_for()
    program.visitors(row(1, id=visitor_id, country_code="PE"))
    before = program.run(SYNC_ANONYMOUS="match").summary["contacts"]
    assert (before["absent"], program.sandbox.hubspot.contacts) == (1, {})

    page.send()
    program.run(SYNC_ANONYMOUS="match")

    contact = only_contact(program)
    assert (contact["email"], contact["country"]) == (ANN, "Peru")


def test_an_id_that_comes_late_is_waited_for(page: Page) -> None:
    page.program.sandbox.zenovay.visitor_id_delay_s = 1.5
    page.open()
    assert page.value() == ""
    visitor_id = page.wait_for()
    page.send()
    assert only_contact(page.program)[LINK] == visitor_id


def test_who_sends_before_the_id_is_there_is_not_held_up(page: Page) -> None:
    page.program.sandbox.zenovay.visitor_id_delay_s = 3600
    page.open()
    assert page.send() == "Thank you"
    assert LINK not in only_contact(page.program)


@pytest.mark.parametrize(
    "before",
    ["", "<script>delete window.zenovay</script>", "<script>window.zenovay = null</script>"],
    ids=["its stub answers nothing", "nothing is there", "it is null"],
)
def test_where_zenovay_is_blocked_the_form_is_sent_as_ever(page: Page, before: str) -> None:
    page.open(before, blocked=True)
    assert page.send() == "Thank you"
    assert LINK not in only_contact(page.program)


@pytest.mark.parametrize(
    "answer",
    [
        "null",
        "undefined",
        '"null"',
        '" undefined "',
        '""',
        "0",
        "NaN",
        "{}",
        "Promise.resolve(null)",
        'Promise.reject(new Error("no consent"))',
        'Promise.resolve("undefined")',
        "new Promise(function () {})",
        "(function () { throw new Error() })()",
    ],
)
def test_what_is_no_id_is_never_written(page: Page, answer: str) -> None:
    page.open(f"<script>window.zenovay = function () {{ return {answer} }}</script>", blocked=True)
    assert page.send() == "Thank you"
    assert LINK not in only_contact(page.program)


def test_an_id_may_be_promised(page: Page) -> None:
    page.open(
        '<script>window.zenovay = function () { return Promise.resolve(" v1 ") }</script>', blocked=True
    )
    assert page.wait_for() == "v1"
    page.send()
    assert only_contact(page.program)[LINK] == "v1"


def test_consent_that_is_given_much_later_still_counts(page: Page) -> None:
    page.open("<script>window.setTimeout = function () {}</script>", blocked=True)  # as after the last try
    page.chrome.execute_script('window.zenovay = function () { return "v1" }')
    page.send()
    assert only_contact(page.program)[LINK] == "v1"


def test_an_id_that_has_changed_since_is_the_one_that_is_sent(page: Page) -> None:
    page.open('<script>window.zenovay = function () { return "v1" }</script>', blocked=True)
    page.wait_for()
    page.chrome.execute_script('window.zenovay = function () { return "v2" }')
    page.send()
    assert only_contact(page.program)[LINK] == "v2"


def test_a_form_that_appears_later_is_filled_once_it_is_touched(page: Page) -> None:
    page.open(field=OTHER)
    page.chrome.execute_script("document.querySelector('[type=hidden]').name = arguments[0]", LINK)
    page.send()
    assert re.fullmatch("v[0-9a-f]{32}", only_contact(page.program)[LINK])


def test_a_form_of_hubspot_s_older_editor_in_its_frame(page: Page) -> None:
    page.open(OLDER, field=OTHER)
    WebDriverWait(page.chrome, WAIT_S).until(lambda _: page.find("iframe"))
    page.chrome.switch_to.frame(page.find("iframe"))
    visitor_id = page.wait_for()
    heard = page.chrome.execute_script("return parent.heard")
    page.chrome.switch_to.default_content()
    assert re.fullmatch("v[0-9a-f]{32}", visitor_id)
    assert heard == [f"input {visitor_id}", f"change {visitor_id}"]


@pytest.mark.parametrize(("getter", "found"), [("getFormFromEvent", "form"), ("getForms", "[form]")])
def test_a_form_of_hubspot_s_newer_editor(page: Page, getter: str, found: str) -> None:
    page.program.sandbox.zenovay.visitor_id_delay_s = 1.0 if getter == "getForms" else 0.0
    page.open(NEWER.replace("GETTER", getter).replace("FOUND", found), field=f"0-1/{LINK}")
    visitor_id = page.wait_for(f"0-1/{LINK}")
    set_values = WebDriverWait(page.chrome, WAIT_S).until(
        lambda chrome: chrome.execute_script("return window.values.length && window.values")
    )
    assert {tuple(each) for each in set_values} == {(f"0-1/{LINK}", visitor_id)}
    page.send()


def test_setup_makes_the_property_under_the_name_that_the_snippet_fills(
    chrome: Chrome, program: Program
) -> None:
    name = program.settings["SYNC_LINK_PROPERTY"] = "from_which_browser"
    assert program("setup").exit_code == 0
    page = Page(chrome, program)
    page.open(field=name)
    visitor_id = page.wait_for(name)
    page.send()
    assert only_contact(program)[name] == visitor_id
