"""Whether a lab is healthy, and as its stack file declares it.

`facts/` asks (the state, the API server, servers for their certificates, hosts, the hub) and parses. `checks/` judges
what was found and asks nobody. `examination.py` does both for everything, `beside_up.py` the cheap part of it before
and after `up`.
"""
