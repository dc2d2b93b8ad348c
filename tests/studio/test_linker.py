"""Modules become one script that does the same, and every other form is refused."""

import gzip
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from isthmus.errors import IsthmusError
from isthmus.studio.assets import PAGE, page_files, read_page
from isthmus.studio.linker import TEXT, link, parse, without_comments

Refused = Callable[..., AbstractContextManager[None]]


def run(files: dict[str, str]) -> Any:
    """Run what main.js puts into the list `out`."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    script = f"const out = [];\n{link('main.js', files.__getitem__)}\n"
    script += 'process.on("exit", () => console.log(JSON.stringify(out)));'
    ended = subprocess.run([node, "-e", script], capture_output=True, text=True, check=True)
    return json.loads(ended.stdout)


def test_every_form_of_export_can_be_imported() -> None:
    files = {
        "main.js": """
            import { add, later, Point, ORIGIN, count } from "./parts.js";
        """.strip()
        + """
later().then((value) => out.push(value));
out.push(add(1, 2), new Point(3).x, ORIGIN.x, [...count()]);
""",
        "parts.js": """
const hidden = 1;
export function add(a, b) { return a + b + hidden - 1; }
export async function later() { return "later"; }
export function* count() { yield 1; yield 2; }
export class Point {
  constructor(x) { this.x = x; }
}
export const ORIGIN = new Point(0);
""",
    }
    assert run(files) == [3, 3, 0, [1, 2], "later"]


def test_each_module_runs_once_after_what_it_imports() -> None:
    files = {
        "main.js": 'import { b } from "./b.js";\nimport { a } from "./a.js";\n'
        'out.push("main", a, b);',
        "a.js": 'import { c } from "./deep/c.js";\nout.push("a");\nexport const a = c + 1;',
        "b.js": 'import {\n  a,\n} from "./a.js";\nimport { c } from "./deep/c.js";\n'
        'out.push("b");\nexport const b = a + c;',
        "deep/c.js": 'import { d } from "../d.js";\nout.push("c");\nexport const c = d;',
        "d.js": "export const d = 10;",
    }
    assert run(files) == ["c", "a", "b", "main", 11, 21]


def test_names_of_modules_do_not_meet() -> None:
    files = {
        "main.js": 'import { a } from "./a.js";\nimport { b } from "./b.js";\n'
        "const a_js = 1;\nout.push(a, b, a_js);",
        "a.js": "const same = 2;\nexport const a = same;",
        "b.js": "const same = 3;\nexport const b = same;",
    }
    assert run(files) == [2, 3, 1]


def test_words_in_strings_comments_and_patterns_mean_nothing() -> None:
    text = (
        r"""
/* import { x } from "./x.js";
export default 1;
*/
/** @import { Manifest } from "./types.js" */
// export { a }
const texts = ["import y", 'export z', `
import { w } from "./w.js";
export default ${1 + 1}
`, /["'`] import\//.source, 4 / 2, "// import"];
const table = { import: 1, export: 2 };
out.push(texts.length, table.import + table.export, texts[4]);
"""
        + "export const more = /export [/\"]/.test('export \"');\nout.push(more);"
    )
    assert parse("main.js", text).exports == ["more"]
    assert run({"main.js": text}) == [6, 3, 2, True]


@pytest.mark.parametrize(
    "line",
    [
        'import "./x.js";',
        'import x from "./x.js";',
        'import * as x from "./x.js";',
        'import { a as b } from "./x.js";',
        'import { a } from "x";',
        'import { a } from "https://example.com/x.js";',
        "import { a } from './x.js';",
        'const x = await import("./x.js");',
        "const x = import.meta.url;",
        "export default 1;",
        "export { a };",
        'export { a } from "./x.js";',
        'export * from "./x.js";',
        "export let a = 1;",
        "export var a = 1;",
        "export const { a } = 1;",
        "  export const a = 1;",
    ],
)
def test_other_forms_are_refused_with_their_line(line: str, refused: Refused) -> None:
    files = {"main.js": f"const a = 1;\n{line}\n", "x.js": "export const a = 1;"}
    with refused(IsthmusError, "main.js", repr(line.strip())[1:10]):
        link("main.js", files.__getitem__)


def test_what_cannot_be_resolved_is_refused(refused: Refused) -> None:
    with refused(IsthmusError, "a.js → b.js → a.js"):
        link(
            "a.js",
            {
                "a.js": 'import { b } from "./b.js";\nexport const a = 1;',
                "b.js": 'import { a } from "./a.js";\nexport const b = 1;',
            }.__getitem__,
        )
    main = {"main.js": 'import { a, b } from "./x.js";'}
    with refused(IsthmusError, "no module x.js", "main.js"):
        link("main.js", main.__getitem__)
    with refused(IsthmusError, "main.js imports b, which x.js does not export"):
        link("main.js", {**main, "x.js": "export const a = 1;"}.__getitem__)


def test_every_module_of_the_page_can_be_joined() -> None:
    def read(name: str) -> str:
        return read_page(name).decode()

    entries = [name for name in page_files() if name == "main.js" or name.endswith(".worker.js")]
    script = "".join(link(name, read) for name in entries)
    modules = [name for name in page_files() if name.endswith(".js")]
    left = [name for name in modules if re.sub(r"\W", "_", name) not in script]
    assert left == []


# -- without comments ------------------------------------------------------------------------

BYTES = 150_000  # of the page's code as a browser gets it, compressed


def test_the_page_is_small() -> None:
    assert len(gzip.compress(b"".join(map(read_page, page_files())))) < BYTES


def test_a_browser_gets_all_but_the_comments() -> None:
    names = [file.name for file in PAGE.glob("*.js")]
    assert set(names) - set(page_files()) == {"types.js"}  # which has nothing but comments
    assert without_comments((PAGE / "types.js").read_text(encoding="utf-8")) == ""
    for name in names:
        text = (PAGE / name).read_text(encoding="utf-8")
        found = [one[0] for one in TEXT.finditer(text)]
        strings = [one for one in found if not one.startswith(("//", "/*"))]
        assert [one for one in strings if "\n" in one] == [], name  # whose empty lines would go
        code = TEXT.sub("", text)
        assert re.findall(r"[\"'`]|//|/\*", code) == [], name  # none begins that does not end
        left = without_comments(text)
        assert [one[0] for one in TEXT.finditer(left)] == strings, name
        assert TEXT.sub("", left).split() == code.split(), name


def test_what_looks_like_a_comment_in_a_string_stays() -> None:
    text = "a = \"//b\"; // c\n\n/* d\n */\nb = `/* e */` /* f */ + /[/]\\/*/g.source; '//';\n"
    left = "a = \"//b\";\nb = `/* e */`  + /[/]\\/*/g.source; '//';\n"
    assert without_comments(text) == left
