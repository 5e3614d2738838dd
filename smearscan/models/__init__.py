"""The models that ship, and any model folder: found, shown, checked, exported.

shelf       which model a name or a folder means, and its card
card_files  the page of a card with all that belongs to it, for `models show --out` and for a run's report
checking    whether a model is whole and works
"""
