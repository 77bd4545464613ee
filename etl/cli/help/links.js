(function () {
  var property = "zenovay_form_visitor_id", id = "";

  function quietly(work) {
    try { work(); } catch (error) { return; }
  }
  function soon(answer, then) {
    if (answer && answer.then) { answer.then(then, function () {}); }
    else { then(answer); }
  }
  function ask() {
    quietly(function () { soon(window.zenovay("getVisitorId"), learn); });
  }
  function learn(answer) {
    if (typeof answer !== "string") { return; }
    if (/^\s*(null|undefined)?\s*$/i.test(answer)) { return; }
    id = answer.trim();
    quietly(fill);
  }
  function fill() {
    if (!id) { return; }
    fillIn(document);
    quietly(function () { forms().getForms().forEach(fillNewer); });
  }
  function fillIn(page) {
    var names = ["", "0-1/"].map(function (prefix) {
      return 'input[name="' + prefix + property + '"]';
    });
    page.querySelectorAll(names.join()).forEach(write);
    page.querySelectorAll("iframe").forEach(function (frame) {
      quietly(function () { fillIn(frame.contentDocument); });
    });
  }
  function write(field) {
    if (field.value === id) { return; }
    var kind = field.ownerDocument.defaultView.HTMLInputElement.prototype;
    Object.getOwnPropertyDescriptor(kind, "value").set.call(field, id);
    ["input", "change"].forEach(function (name) {
      field.dispatchEvent(new Event(name, { bubbles: true }));
    });
  }
  function forms() {
    return window.HubSpotFormsV4 || window.HubspotFormsV4;
  }
  function fillNewer(form) {
    quietly(function () {
      soon(form.setFieldValue("0-1/" + property, id), function () {});
    });
  }
  function again() {
    quietly(fill);
    ask();
  }
  function patiently(wait, left) {
    ask();
    if (id || left <= 0) { return; }
    setTimeout(patiently, wait, Math.min(wait * 1.5, 2000), left - wait);
  }

  document.addEventListener("DOMContentLoaded", again);
  document.addEventListener("focusin", again, true);
  document.addEventListener("submit", again, true);
  window.addEventListener("message", function (event) {
    var told = event.data || {};
    if (told.type !== "hsFormCallback") { return; }
    if (told.eventName === "onFormReady") { again(); }
  });
  window.addEventListener("hs-form-event:on-ready", function (event) {
    again();
    quietly(function () {
      if (id) { fillNewer(forms().getFormFromEvent(event)); }
    });
  });
  patiently(100, 60000);
})();
