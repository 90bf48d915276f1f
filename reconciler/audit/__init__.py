"""Who decided what, and when: rows and answers made of history; pure.

`subjects` reads what a person asks about, `forges` what forges write into messages, `events` says
what a change of a file means, `rows` puts them together per commit, `holders` answers who had a
port, `undoing` prepares a surgical revert.
"""
