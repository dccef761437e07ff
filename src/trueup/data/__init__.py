"""How data comes in and what it means: sources, types, findings, and the history of cases.

The data room decides how a text is read (a number, a date, a code), by looking at every value and guessing none: what
could be read in two ways stays text and is named. It refuses whatever is not one whole table (a ragged line, another
encoding, two columns of one name), naming file and line and repeating no row; the previous version of the table stays.
"""
