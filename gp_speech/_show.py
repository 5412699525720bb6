"""How nbdev's `show_doc` shows a symbol of this package: signature, docstring and a table of its parameters.

Named by `renderer` in pyproject.toml; used in documentation, never by the package.
It lies here because a notebook's kernel must be able to import it."""

from fastcore.docments import DocmentTbl
from nbdev.showdoc import BasicMarkdownRenderer


class TableRenderer(BasicMarkdownRenderer):
    "Name and signature, docstring, and each parameter's comment in a table (nbdev 3 itself repeats the source)."
    def _repr_markdown_(self):
        doc = f"---\n\n{'#' * self.title_level} {self.nm}\n\n"
        if self.sig is not None:
            plain = ", ".join(str(p.replace(annotation=p.empty)) for p in self.sig.parameters.values())
            doc += f"```python\n{self.nm}({plain})\n```\n\n"
        if self.docs: doc += f"{self.docs}\n\n"
        try: return doc + DocmentTbl(self.sym)._repr_markdown_()
        except (ValueError, TypeError): return doc  # a symbol without a signature
