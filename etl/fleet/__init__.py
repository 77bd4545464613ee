"""Many portals: who is due when, and limits that several processes and machines keep together."""
