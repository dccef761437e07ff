// Makes pages quicker to use. Every page works without this file.
(() => {
  const root = document.documentElement;
  const saved = (() => { try { return localStorage.getItem("trueup-theme"); } catch { return null; } })();
  if (saved) root.dataset.theme = saved;
  const dark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.querySelectorAll("[data-theme-toggle]").forEach(b => b.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    try { localStorage.setItem("trueup-theme", root.dataset.theme); } catch { /* private mode */ }
  }));

  const pal = document.getElementById("palette");
  const openPal = e => { if (!pal) return; e.preventDefault(); pal.showModal(); pal.querySelector("input").focus(); };
  document.querySelectorAll("[data-palette]").forEach(a => a.addEventListener("click", openPal));
  if (pal) {
    const links = () => [...pal.querySelectorAll("li:not([hidden]) a")];
    const mark = i => { const l = links(); l.forEach(a => a.classList.remove("sel")); const a = l[(i + l.length) % l.length]; if (a) { a.classList.add("sel"); a.scrollIntoView({ block: "nearest" }); } };
    pal.addEventListener("click", e => { if (e.target === pal) pal.close(); });
    pal.addEventListener("input", e => {
      const q = e.target.value.trim().toLowerCase();
      pal.querySelectorAll("li").forEach(li => { li.hidden = q && !li.textContent.toLowerCase().includes(q); });
      pal.querySelectorAll("h3").forEach(h => { h.hidden = !h.nextElementSibling.querySelector("li:not([hidden])"); });
      mark(0);
    });
    pal.addEventListener("keydown", e => {
      if (e.key === "Escape") { e.preventDefault(); pal.close(); return; }
      const i = links().findIndex(a => a.classList.contains("sel"));
      if (e.key === "ArrowDown" || e.key === "ArrowUp") { e.preventDefault(); mark(i + (e.key === "ArrowDown" ? 1 : -1)); }
      if (e.key === "Enter" && i >= 0) { e.preventDefault(); links()[i].click(); }
    });
  }

  // keys: Ctrl/Cmd K palette, g then letter, j/k in lists, ? help. Never while typing.
  let lead = 0;
  const go = { p: "/portfolio", i: "/inbox" };
  addEventListener("keydown", e => {
    if ((e.metaKey || e.ctrlKey) && e.key.toLowerCase() === "k") return openPal(e);
    if (pal?.open || e.metaKey || e.ctrlKey || e.altKey || e.target.closest("input:not([type=radio]), textarea, select, dialog")) return;
    if (e.key === "g") { lead = Date.now(); return; }
    if (Date.now() - lead < 900 && go[e.key]) { location.href = go[e.key]; return; }
    if (e.key === "/") return openPal(e);
    const cases = [...document.querySelectorAll(".case-list a")];
    if (cases.length && (e.key === "j" || e.key === "k")) {
      const i = cases.findIndex(a => a.hasAttribute("aria-current"));
      const next = cases[i + (e.key === "j" ? 1 : -1)]; if (next) next.click();
    }
    if (["1", "2", "3"].includes(e.key)) { const c = document.querySelectorAll(".choice input")[e.key - 1]; if (c) { c.checked = true; c.focus(); } }
  });

  // Ctrl/Cmd Enter sends the form around a text area
  document.querySelectorAll("textarea").forEach(t => t.addEventListener("keydown", e => { if ((e.metaKey || e.ctrlKey) && e.key === "Enter" && t.form) t.form.requestSubmit(); }));
})();
