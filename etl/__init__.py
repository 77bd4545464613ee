"""Keeps website visitors from Zenovay up to date on the matching HubSpot contacts.

The flow: one arrow in, one arrow out, the state in the middle::

    Zenovay ──extract──▶ rows ──absorb──▶ state ──transform──▶ contacts ──load──▶ HubSpot
                                            ▲                                        │
                                            └─────── a verdict on each contact ──────┘

The words, one meaning each, the same in code, tables, logs and README:

run         one execution; it has an id and a row in the state
window      ``[since, until)``, asked of the source
watermark   the instant up to which a website has been read completely
lookback    the overlap that is read again behind the watermark
sweep       the daily reading of the whole newest range
row         what the source sent, as it came
visitor     a valid row; rows of one id are merged
field       one fact about visitors that is synced
contact     what HubSpot should hold of one person
record      the HubSpot object behind a contact, by its id
link        that a visitor belongs to a record, learnt from HubSpot
ledger      what HubSpot has confirmed, by contact
due         what is wanted differs from what is confirmed
batch       up to 100 contacts in one request
look        reading what HubSpot holds of contacts, before something is written over it
policy      what may be written over of a property: everything, nothing, or what this program wrote
verdict     what HubSpot said of one contact: confirmed, rejected, deferred, absent or kept
absent      nobody in HubSpot is this contact, and it must not be made
kept        what HubSpot holds is somebody else's, and what we want there gives way to it
gone        rejected, as the record that HubSpot once confirmed is not there any more
rejection   a row or a contact that was refused, with its reason
backfill    a past window that was asked for; it never moves the watermark
dry run     reads everything, writes nothing
undo        put back what a run replaced, where nobody has changed it since; a run itself
forget      erase all that is kept of a person, and keep the person away
tombstone   the keyed hash of what led to a person who was forgotten
portal      one HubSpot account
key         a secret key of Zenovay; several portals may share one
site        a website of a portal, which is read with a key, every so often
tenant      the sites of one portal that are read with one key: what one set of settings can describe
fleet       all portals that are declared, on one machine or on many
permit      leave to send one request, out of a limit that several processes keep together
tick        the look, once a minute, at which sites of the fleet are due
sandbox     a Zenovay and a HubSpot of our own, on loopback

The path of a row:

1. ``etl.extract`` asks for the smallest range that covers the window, and pages through it.
2. A row becomes a visitor, or a rejection with its reason; one bad row never takes its page with it.
3. The intake of ``etl.pipeline`` absorbs a page in one transaction: it gathers what ``etl.state`` knows,
   decides, without a database, what the page changes, and applies that. Each of the ``etl.fields`` has a rule
   for merging, all of them commutative, associative and idempotent: rows may come twice, late, in any order.
4. ``etl.transform``, which is pure, makes of the visitors of one contact its facts and a fingerprint.
5. A contact is due where that is not the fingerprint that the ledger says HubSpot confirmed last.
6. The outbox hands ``etl.load`` what is due, up to 100 in a batch and several batches at a time. Where a
   property has a policy that asks, or nobody is to be made, it has HubSpot looked at first; then it writes
   down what may be ours there from now on, and sends what the policies leave.
7. That reads a verdict for every single contact, and the outbox commits them. What was confirmed is in the
   ledger; what was rejected waits for other facts or a person; what was deferred is due again next time; what
   was absent waits for other facts, a link, or its recheck.
8. Once the whole window is absorbed, the watermark moves to where the source's clock stood at the start.

One thread runs the pipeline and alone writes the state; pages and batches are futures that it waits for. So
pages are read while batches are in flight, memory stays flat, and a run that was killed is simply gone on
with: what was absorbed and not confirmed is still due.

Imports point down this list, and what stands on one line does not know each other; import-linter holds it:

etl.cli                                commands, assembly, error to exit code; alone it prints and exits
etl.sandbox | etl.settings             both APIs on loopback; the settings, read once
etl.config_file                        visitor-sync.toml
etl.config                             what it says, understood
etl.declaration | etl.own_fields       the fleet and the fields that the user declares in it
etl.fleet                              what portals share: limits, the schedule, workers on an existing engine
etl.extract | etl.load | etl.state | etl.watch
                                       Zenovay; HubSpot; the database; reports, alerts, whom to tell
etl.network                            the way to others: URLs, proxies, trust in TLS, HTTP, what failed
etl.pipeline                           one run, and the Protocols of what it needs
etl.transform                          pure: visitors to contacts, their properties, a fingerprint
etl.fields                             the synced fields, said once
etl.kinds                              what a field may hold: read, written, and which rules fit
etl.rules                              what several statements of one fact come to
etl.context | etl.exclusions | etl.files | etl.pace | etl.policies | etl.retry
                                       what a thread knows; whom the settings leave out; whole files; the rate
                                       limit; what may be written over; retrying
etl.clock | etl.deadline | etl.instants | etl.jsontext | etl.countries | etl.redact | etl.envfile | etl.naming
                                       time as an argument, bounded waiting, and what values are made of
etl.models                             the values that travel through the job
etl.errors                             what can go wrong, with its exit code
"""
