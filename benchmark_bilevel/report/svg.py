"""matplotlib's SVG in half of the characters, the same to the eye."""

import re
from collections import Counter

TAG = re.compile(r"<[^>]*>")
# In a tag: decimals that no screen shows, names of groups, turns by nothing, spaces.
SHORTER = (
    (r"(?<=\d\d\.\d)\d+|(?<=\d\.\d\d)\d+", ""),
    (r'^<g id="[^"]*"', "<g"),
    (r' transform="rotate\(-0 [^)]*\)"', ""),
    (r"([MLQC]) (?=[\d-])", r"\1"),
    (r"(?<=\w)\s*\n(?=[MLQCz\"])", ""),
    (r'\bxlink:href="#', 'href="#'),
)
# Groups of markers of one style.
MARKERS = re.compile(
    r'(<g(?: clip-path="[^"]*")?)>\n((?:<use [^>]*( style="[^"]*")/>\n)+)'
)
NAME = re.compile(r'(?<= id=")[^"]+')
REFERENCE = re.compile(r'(?<= id=")[^"]+|(?<="#)\w+|(?<=url\(#)\w+')
STYLE = re.compile(r' style="([^"]*)"')


def shorter(svg):
    """The same picture: matplotlib writes coordinates to a millionth of a point, the style
    of a curve at each of its markers, and that of a line at each line of the grid.
    """
    svg = re.sub("^ +", "", svg, flags=re.MULTILINE)
    # What is between tags is a text, which stays as it is.
    svg = MARKERS.sub(_styled_once, TAG.sub(_short_tag, svg))
    tags = "".join(TAG.findall(svg))
    names = {name: f"i{k}" for k, name in enumerate(dict.fromkeys(NAME.findall(tags)))}
    counts = Counter(STYLE.findall(tags))
    several = (style for style, number in counts.items() if number > 1)
    classes = {style: f"s{k}" for k, style in enumerate(several)}
    svg = TAG.sub(lambda tag: _named(tag[0], names, classes), svg)
    rules = "".join(f".{name} {{{style}}}" for style, name in classes.items())
    return svg.replace("</style>", f"{rules}</style>", 1)


def _short_tag(found):
    tag = found[0]
    for pattern, replacement in SHORTER:
        tag = re.sub(pattern, replacement, tag)
    return tag


def _styled_once(found):
    group, markers, style = found.groups()
    return f"{group}{style}>\n{markers.replace(style, '')}"


def _named(tag, names, classes):
    tag = REFERENCE.sub(lambda found: names.get(found[0], found[0]), tag)
    return STYLE.sub(
        lambda found: (
            f' class="{classes[found[1]]}"' if found[1] in classes else found[0]
        ),
        tag,
    )
