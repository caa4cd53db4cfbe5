// Copy buttons. They are hidden in the page and shown here, because without this script they would do nothing.
"use strict";

for (const button of document.querySelectorAll("button[data-copy]")) {
  const label = button.textContent;
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = label; }, 2000);
  });
}

// The server knows no time zones: where scripts run, the exact time that is told is the local one.
for (const moment of document.querySelectorAll("time[datetime]")) {
  const when = new Date(moment.dateTime);
  if (!Number.isNaN(when.getTime())) {
    moment.title = when.toLocaleString(undefined, { dateStyle: "full", timeStyle: "long" });
  }
}

// Lists shorten as one types; without this script the form asks the server.
for (const field of document.querySelectorAll("input[data-filters]")) {
  const items = document.querySelectorAll(`#${field.dataset.filters} > li`);
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const item of items) {
      const text = item.textContent.toLowerCase();
      item.hidden = !words.every((word) => text.includes(word));
    }
  });
}

// A search answers while one types; without this script its button does. The newest answer wins.
for (const field of document.querySelectorAll("input[data-finds]")) {
  let latest = 0;
  let timer = 0;
  field.addEventListener("input", () => {
    clearTimeout(timer);
    const mine = ++latest;
    timer = setTimeout(async () => {
      const address = new URL(location.pathname, location.origin);
      address.search = new URLSearchParams({ q: field.value });
      const answer = await fetch(address);
      if (!answer.ok || mine !== latest) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const found = page.getElementById(field.dataset.finds);
      if (found) document.getElementById(field.dataset.finds).replaceChildren(...found.childNodes);
    }, 200);
  });
}
