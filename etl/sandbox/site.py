"""The company's own website: a page with a form, and the script of Zenovay's that it loads."""

from __future__ import annotations

import json
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from etl.sandbox.wire import Reply

if TYPE_CHECKING:
    from etl.sandbox.hubspot import HubSpotWorld
    from etl.sandbox.wire import Call
    from etl.sandbox.zenovay import ZenovayWorld

FORM_PATH = "/form"
SCRIPT_PATH = "/zenovay.js"
LINK_PROPERTY = "zenovay_form_visitor_id"
_HTML = {"content-type": "text/html; charset=utf-8", "cache-control": "no-store"}
_SCRIPT = {"content-type": "text/javascript; charset=utf-8", "cache-control": "no-store"}
_FORM = """<!doctype html><html lang=en><head><meta charset=utf-8><title>Contact us</title>
<script>window.zenovay=window.zenovay||function(){{(zenovay.q=zenovay.q||[]).push(arguments)}}</script>
<script async src="{script}"></script></head><body><h1>Contact us</h1>
<form method=post action="{path}">
<label>E-mail <input name=email type=email required></label>
<label>First name <input name=firstname></label>
<input type=hidden name="{link}" value="">
<button>Send</button>
</form>
{snippet}</body></html>
"""
_ANSWER = """<!doctype html><html lang=en><head><meta charset=utf-8><title>{title}</title></head>
<body><h1>{title}</h1></body></html>
"""
_ZENOVAY = """(function () {
  var ready = false, key = "zenovay_visitor_id", queued = (window.zenovay || {}).q || [];
  function made() {
    return "v" + Array.from(crypto.getRandomValues(new Uint8Array(16)), function (byte) {
      return byte.toString(16).padStart(2, "0");
    }).join("");
  }
  function visitorId() {
    var id = localStorage.getItem(key) || made();
    localStorage.setItem(key, id);
    return id;
  }
  window.zenovay = function (command) {
    if (!ready) { queued.push(arguments); }
    return ready && command === "getVisitorId" ? visitorId() : null;
  };
  window.zenovay.q = queued;
  setTimeout(function () { ready = true; }, DELAY_MS);
})();
"""


class SiteEndpoints:
    """Each method answers one request."""

    def __init__(self, zenovay: ZenovayWorld, hubspot: HubSpotWorld) -> None:
        self._zenovay = zenovay
        self._hubspot = hubspot

    def form(self, call: Call) -> Reply:
        """GET shows the form, POST submits it."""
        if call.method == "POST":
            return self._submitted(call)
        page = _FORM.format(
            script=SCRIPT_PATH,
            path=FORM_PATH,
            link=escape(call.params.get("property", LINK_PROPERTY)),
            snippet=self._hubspot.form_snippet,
        )
        return Reply(200, page.encode(), _HTML)

    def script(self, _call: Call) -> Reply:
        delay_ms = json.dumps(self._zenovay.visitor_id_delay_s * 1000)
        return Reply(200, _ZENOVAY.replace("DELAY_MS", delay_ms).encode(), _SCRIPT)

    def _submitted(self, call: Call) -> Reply:
        values = dict(parse_qsl(call.body.decode(errors="replace"), keep_blank_values=True))
        taken = self._hubspot.submit(values) is not None
        title = "Thank you" if taken else "This could not be sent"
        return Reply(200 if taken else 400, _ANSWER.format(title=title).encode(), _HTML)
