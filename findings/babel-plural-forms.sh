#!/usr/bin/env bash
# Babel writes a Plural-Forms header for French, Spanish, Italian and others that gettext cannot read.
#
# Promised: `babel.plural.to_gettext` gives a plural rule as a gettext expression, limited to whole
#   numbers. The gettext manual, "Plural forms": such an expression has the one variable n.
# Seen: for each language with the class "many" of compact numbers (1 million) the expression
#   speaks of e as well, an operand of CLDR that gettext does not have; the operands v, w, f and t,
#   which are as meaningless there, are written as 0. Python's own gettext refuses the catalogue.
# Costs: with such a header in its .po file, a program that starts for a French user raises
#   ValueError when it loads its texts; for a German one it runs.
# Known: v, w, f and t in python-babel/babel#287, repaired; e came with CLDR 40 and was not found.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --no-compile --disable-pip-version-check babel==2.19.0
"$place/venv/bin/python" - <<'EOF'
import gettext
import io
import sys
from importlib.metadata import version

from babel import Locale, localedata
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.plural import to_gettext

print("babel", version("babel"), "and gettext of python", sys.version.split()[0])
HEADER = r"""
msgid ""
msgstr ""
"Content-Type: text/plain; charset=utf-8\n"
"Plural-Forms: {forms}\n"

msgid "ready"
msgstr "done"
"""


def loaded(language):
    """Return what a program gets: the catalogue with this header compiled, and loaded."""
    forms = to_gettext(Locale.parse(language).plural_form)
    compiled = io.BytesIO()
    write_mo(compiled, read_po(io.BytesIO(HEADER.format(forms=forms).encode())))
    compiled.seek(0)
    try:
        return gettext.GNUTranslations(compiled).gettext("ready")
    except ValueError as error:
        return f"ValueError: {error}"


def refused(language):
    try:
        gettext.c2py(to_gettext(Locale.parse(language).plural_form).split("plural=")[1].rstrip(";"))
    except ValueError:
        return True
    return False


languages = sorted({name.split("_")[0] for name in localedata.locale_identifiers()})
bad = [name for name in languages if refused(name)]
print("to_gettext for fr:", to_gettext(Locale.parse("fr").plural_form))
print("Babel's own table:", Catalog(locale="fr").plural_expr)
print("expected: done, in every language")
print("seen for de:", loaded("de"))
print("seen for fr:", loaded("fr"))
print(f"refused of {len(languages)} languages:", *bad)
if loaded("de") != "done" or "invalid token" not in loaded("fr") or not {"es", "it", "pt"} <= {*bad}:
    sys.exit("the behaviour has changed")
EOF
