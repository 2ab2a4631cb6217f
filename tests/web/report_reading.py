"""Reading a page back, strictly: balanced tags, no script, nothing from elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "link", "br"}
DRAWN = {"path", "rect", "line", "circle"}
KNOWN = {
    "html", "head", "meta", "link", "title", "style", "body", "header", "main", "footer", "section",
    "h1", "h2", "p", "span", "b", "i", "div", "code", "pre", "var", "ul", "li", "dl", "dt", "dd",
    "table", "caption", "thead", "tbody", "tr", "th", "td", "details", "summary",
    "svg", "desc", "g", "path", "rect", "text", "tspan",
}  # fmt: skip


@dataclass
class Element:
    name: str
    attributes: dict[str, str]
    text: str = ""
    children: list[Element] = field(default_factory=list)

    def all(self, name: str) -> list[Element]:
        own = [self] if self.name == name else []
        return own + [hit for child in self.children for hit in child.all(name)]


class _Reader(HTMLParser):
    """Builds the tree; an element that is not closed, or closed twice, is an error."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("", {})
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        assert len(element.attributes) == len(attrs), f"an attribute of {tag} is given twice"
        self.open[-1].children.append(element)
        if tag not in VOID and tag not in DRAWN:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in VOID | DRAWN, f"{tag} closes itself"
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        closed = self.open.pop()
        assert closed.name == tag, f"</{tag}> closes <{closed.name}>"

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element.text += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    def handle_pi(self, data: str) -> None:
        raise AssertionError(f"an instruction: {data}")


def read(page: str) -> Element:
    reader = _Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == [reader.root], "an element is not closed"
    return reader.root


def assert_inert(page: str) -> Element:
    """Nothing in the page can run, load or leave."""
    root = read(page)
    stack = [root]
    while stack:
        element = stack.pop()
        stack += element.children
        assert not element.name or element.name in KNOWN, element.name
        for name, value in element.attributes.items():
            assert not name.startswith("on"), name
            assert name not in {"src", "srcset", "action", "formaction", "srcdoc", "xlink:href"}
            assert name != "href" or value == "data:,", value
            assert name != "style" or value.startswith("width:"), value
            assert "url(" not in value, value
    (style,) = root.all("style")
    assert "@import" not in style.text
    assert "url(" not in style.text
    assert len(root.all("title")) >= 1
    return root
