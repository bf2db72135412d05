"""FILES: one address in, one whole file out.

Media hosts, the networks they may stand in, and what is written to a disk. Nothing in this
room holds the key, or knows who does: of `session` it shares how long things last and when
to try again, and no more. It has never heard of polling; who needs a task's newest addresses
is handed a function that asks.
"""
