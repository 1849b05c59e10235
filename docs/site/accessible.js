// What the theme leaves out for readers who use a keyboard or a screen reader: regions that scroll take the focus, and each navigation has a name.
function mend() {
  for (const region of document.querySelectorAll("pre > code, .md-typeset__scrollwrap, math[display=block]")) region.tabIndex = 0
  document.querySelectorAll("nav.md-nav[data-md-level]").forEach((nav, number) => {
    nav.removeAttribute("aria-labelledby")
    nav.setAttribute("aria-label", number ? `Section ${number}` : "Sections")
  })
  document.querySelectorAll("nav.md-code__nav").forEach((nav, number) => nav.setAttribute("aria-label", `Code ${number + 1}`))
}
new MutationObserver(mend).observe(document.documentElement, { childList: true, subtree: true })
