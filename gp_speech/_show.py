"""How nbdev shows this package in the rendered documentation.

Named by `renderer` and `doc_procs` in pyproject.toml; used in documentation, never by the package.
It lies here because a notebook's kernel must be able to import it."""

import ast, io, re, tokenize
from functools import cached_property
from importlib import import_module
from inspect import Parameter, getsource, isclass
from textwrap import dedent

from fastcore.docments import docments
from nbdev.process import Processor
from nbdev.showdoc import BasicMarkdownRenderer

from gp_speech._modidx import d as index

EMPTY = Parameter.empty


def packaged(symbol):
    "A notebook's class as the package has it, for a kernel keeps no source of classes; anything else as it is."
    if not isclass(symbol): return symbol
    homes = [module for module, names in index["syms"].items() if f"{module}.{symbol.__qualname__}" in names]
    return getattr(import_module(homes[0]), symbol.__qualname__) if homes else symbol


def parsed(symbol):
    "The first statement of a symbol's source as a syntax tree, and the comments in it: {line: text}."
    source = dedent(getsource(symbol))
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return ast.parse(source).body[0], {token.start[0]: token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT}


def described(symbol):
    """What `docments` finds of each parameter and the value, and what it passes over: fields of a NamedTuple, properties, and a comment
    on the value where a signature ends without saying its type."""
    if isinstance(symbol, property): symbol = symbol.fget
    if isclass(symbol) and issubclass(symbol, tuple) and hasattr(symbol, "_fields"):
        tree, comments = parsed(symbol)
        lines = {node.target.id: node.end_lineno for node in tree.body if isinstance(node, ast.AnnAssign)}
        return {name: dict(anno=symbol.__annotations__[name], default=symbol._field_defaults.get(name, EMPTY), docment=comments.get(line)) for name, line in lines.items()}
    found = docments(symbol, full=True, args_kwargs=True)
    if not isclass(symbol) and "return" in found and not found["return"]["docment"]:
        tree, comments = parsed(symbol)
        nodes = [*tree.args.posonlyargs, *tree.args.args, *tree.args.kwonlyargs, *filter(None, (tree.args.vararg, tree.args.kwarg))]
        last = max((node.end_lineno for node in nodes if node.arg not in ("self", "cls")), default=tree.lineno - 1)
        found["return"]["docment"] = next((comments[line] for line in range(last + 1, tree.body[0].lineno) if line in comments), None)
    return {name: value for name, value in found.items() if name not in ("self", "cls")}


def table(symbol):
    "The parameters of a function, or the fields of a dataclass or NamedTuple, as a Markdown table: type, default and comment, each where there is one."
    found = described(symbol)
    if not any(value["docment"] for value in found.values()): return ""
    rows = []
    for name, value in found.items():
        kind, default = value["anno"], value["default"]
        kind = "" if kind in (EMPTY, type(None), None) else f"`{getattr(kind, '__name__', kind)}`"
        default = "" if default is EMPTY else f"`{default!r}`"
        if name == "return": name = "**returns**"
        else: name = f"`{'**' if value.get('kind') is Parameter.VAR_KEYWORD else '*' if value.get('kind') is Parameter.VAR_POSITIONAL else ''}{name}`"
        if name != "**returns**" or kind or value["docment"]: rows.append([name, kind, default, (value["docment"] or "").replace("\n", " ")])
    head = ["", "Type", "Default", "Details"]
    used = [k for k in range(4) if k == 0 or any(row[k] for row in rows)]
    lines = [head, ["---"]*4, *rows]
    return "\n".join("| " + " | ".join(line[k].replace("|", "\\|") for k in used) + " |" for line in lines)


class TableRenderer(BasicMarkdownRenderer):
    "Name and signature, docstring, and each parameter's comment in a table (nbdev 3 itself repeats the source); a class's own methods follow it."
    def __init__(self, sym, *args, **kwargs):
        super().__init__(sym.func if isinstance(sym, cached_property) else packaged(sym), *args, **kwargs)
        self.called = self.sig is not None and not isinstance(sym, (property, cached_property))

    def _repr_markdown_(self):
        doc = f"---\n\n{'#' * self.title_level} {self.nm}\n\n"
        if self.called:
            plain = ", ".join(str(p.replace(annotation=EMPTY)) for p in self.sig.parameters.values() if p.name not in ("self", "cls"))
            doc += f"```python\n{self.nm}({plain})\n```\n\n"
        if self.docs: doc += f"{self.docs}\n\n"
        doc += table(self.sym)
        if not isclass(self.sym): return doc
        own = [node.name for node in parsed(self.sym)[0].body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")]
        return "\n\n".join([doc, *(TableRenderer(getattr(self.sym, name), title_level=self.title_level)._repr_markdown_() for name in own)])


class FoldSource(Processor):
    "Put the source of exported cells, folded, below what is said of them; takes the place of nbdev's `rm_export`, which drops it."
    def begin(self):
        cells, place = self.nb.cells, 0
        for cell in cells:  # how a value shows itself is seen, not read about
            if getattr(cell, "has_sd", False) and re.search(r"show_doc\([\w.]*\._\w+\)", cell.source): del cell["source"]
        cells[:] = [cell for cell in cells if getattr(cell, "source", None) is not None]
        while place < len(cells):
            cell = cells[place]
            documented = place
            while documented + 1 < len(cells) and getattr(cells[documented + 1], "has_sd", False): documented += 1
            directives = cell.directives_.keys() if cell.cell_type == "code" else ()
            if "export" in directives and documented > place:
                cell.source = f'#| code-fold: true\n#| code-summary: "Source"\n{cell.source}'
                cells.insert(documented, cells.pop(place))
            elif {"export", "hide", "default_exp"} & set(directives): del cell["source"]
            place = documented + 1
