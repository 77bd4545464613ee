"""One Zenovay with many keys and websites and many HubSpot portals, on loopback, in a process of its own.

``plan`` says what there is, ``windows`` and ``faults`` how it treats a request, ``zenovay`` and ``portals``
what it answers, ``wire`` how, ``serving`` is the process and ``opened`` how others see it. ``books`` hold
every request that came, with the process that sent it, and are read by ``findings``.
"""
