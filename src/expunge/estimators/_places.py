"""Where in a table each row lies, by content, for a table whose places stay as they are when rows are gone."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from expunge.estimators._rows import Positions, refuse_everything, refuse_unknown

Places = defaultdict[bytes, list[int]]


def places_of(keys: list[bytes]) -> Places:
    """Return the places of each key, in order."""
    found: Places = defaultdict(list)
    for i, key in enumerate(keys):
        found[key].append(i)
    return found


def strike_places(places: Places, keys: list[bytes], *, left: int) -> Positions:
    """Return a place for each key of a request, no place twice, and strike them out; or refuse, and strike out none.

    A key takes the last place that it has. `left` rows are in: a request for all of them is refused, as is one for more than a key has.
    """
    struck: list[tuple[bytes, int]] = []
    for key in keys:
        if there := places.get(key):
            struck.append((key, there.pop()))
    missing = len(keys) - len(struck)
    if missing or len(keys) == left:
        for key, place in reversed(struck):
            places[key].append(place)
        raise refuse_unknown(missing, len(keys)) if missing else refuse_everything()
    for key, _ in struck:
        if not places[key]:
            del places[key]
    return np.array([place for _, place in struck])
