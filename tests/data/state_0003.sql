BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0003');
CREATE TABLE backfills (
	id INTEGER NOT NULL, 
	website_id INTEGER NOT NULL, 
	since BIGINT NOT NULL, 
	until BIGINT NOT NULL, 
	open BOOLEAN NOT NULL, 
	started BIGINT NOT NULL, 
	"offset" BIGINT, 
	tail TEXT, 
	reached BIGINT, 
	past BIGINT, 
	requests BIGINT NOT NULL, 
	CONSTRAINT pk_backfills PRIMARY KEY (id), 
	CONSTRAINT fk_backfills_website_id FOREIGN KEY(website_id) REFERENCES websites (id), 
	CONSTRAINT uq_backfills_website_id_since_until_open UNIQUE (website_id, since, until, open)
);
CREATE TABLE contacts (
	id INTEGER NOT NULL, 
	kind VARCHAR(7) NOT NULL, 
	"key" TEXT NOT NULL, 
	last_seen BIGINT, 
	country VARCHAR(2), 
	pageviews BIGINT, 
	wanted BLOB, 
	confirmed BLOB, 
	refused BLOB, 
	blocked BOOLEAN NOT NULL, 
	due BOOLEAN NOT NULL, 
	hubspot_id TEXT, unanswered INTEGER DEFAULT 0 NOT NULL, 
	CONSTRAINT pk_contacts PRIMARY KEY (id), 
	CONSTRAINT ck_contacts_kind CHECK (kind IN ('email', 'visitor')), 
	CONSTRAINT uq_contacts_key_kind UNIQUE ("key", kind)
);
INSERT INTO "contacts" VALUES(1,'email','ann@example.test',1773140400000000,'CH',32,X'314AD759B90ECC5FE1AE2130A26EA8A2',X'314AD759B90ECC5FE1AE2130A26EA8A2',NULL,0,0,'501',0);
INSERT INTO "contacts" VALUES(2,'visitor','visitor-3',1773140400000000,'CH',3,X'72B853411961C31B569DD615A0FFED0A',X'72B853411961C31B569DD615A0FFED0A',NULL,0,0,'502',0);
INSERT INTO "contacts" VALUES(3,'visitor','visitor-4',1773129600000000,NULL,4,X'01DF37CB61E050CA0416F3327AAE1224',X'01DF37CB61E050CA0416F3327AAE1224',NULL,0,0,'503',0);
INSERT INTO "contacts" VALUES(4,'visitor','visitor-5',1773126000000000,'CH',NULL,X'30930C1DE423C88E0567CCAD44E7B37E',X'30930C1DE423C88E0567CCAD44E7B37E',NULL,0,0,'504',0);
INSERT INTO "contacts" VALUES(5,'visitor','visitor-7',1773115200250000,'CH',7,X'5AE37D14D818583660B34D5C7E42B777',X'5AE37D14D818583660B34D5C7E42B777',NULL,0,0,'505',0);
INSERT INTO "contacts" VALUES(6,'email','bob@example.test',1773115200000000,'CH',8,X'215939EE4C9114CD29E1777F582D729D',NULL,X'215939EE4C9114CD29E1777F582D729D',0,0,NULL,0);
CREATE TABLE "facts" (
	name TEXT NOT NULL, 
	value TEXT NOT NULL, 
	CONSTRAINT pk_facts PRIMARY KEY (name)
);
INSERT INTO "facts" VALUES('property_names','PropertyNames(country=''country'', last_seen=''zenovay_last_seen'', pageviews=''zenovay_pageviews'', visitor_id=''zenovay_visitor_id'')');
INSERT INTO "facts" VALUES('owner','{"credential":"8e2f911dc6f2342667bbd9ac32a07d76","portal":{"id":8675309,"type":"DEVELOPER_TEST","domain":"app.hubspot.com"},"released":false}');
INSERT INTO "facts" VALUES('verified_setup','a4c22b7837d28cfd45d802e12fd84624');
CREATE TABLE limits (
	api VARCHAR(16) NOT NULL, 
	account VARCHAR(16) NOT NULL, 
	stopped_until BIGINT, 
	stop_reason TEXT, 
	sent TEXT, stated INTEGER, used BIGINT, month_limit BIGINT, resets_at BIGINT, ahead BIGINT, stop_kind VARCHAR(16), stop_said_by TEXT, stop_made BIGINT, 
	CONSTRAINT pk_limits PRIMARY KEY (api, account)
);
INSERT INTO "limits" VALUES('zenovay','4625bffdd16a2f8c',NULL,NULL,'[1795748081726928,1795748083510864]',NULL,2,NULL,1775001600000000,-22604083511061,NULL,NULL,NULL);
INSERT INTO "limits" VALUES('hubspot','1f00a69ab083e41a',NULL,NULL,'[1795748081710948,1795748081858590,1795748081862730,1795748081866113,1795748081867076,1795748081870247]',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE lock (
	id INTEGER NOT NULL, 
	owner VARCHAR(32) NOT NULL, 
	host TEXT NOT NULL, 
	pid INTEGER NOT NULL, 
	since BIGINT NOT NULL, 
	CONSTRAINT pk_lock PRIMARY KEY (id), 
	CONSTRAINT ck_lock_one_row CHECK (id = 1)
);
CREATE TABLE rejections (
	id INTEGER NOT NULL, 
	kind VARCHAR(7) NOT NULL, 
	website_id INTEGER, 
	contact_id INTEGER, 
	digest BLOB, 
	"key" TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	code TEXT NOT NULL, 
	correlation_id TEXT, 
	attempts INTEGER NOT NULL, 
	first BIGINT NOT NULL, 
	last BIGINT NOT NULL, 
	CONSTRAINT pk_rejections PRIMARY KEY (id), 
	CONSTRAINT ck_rejections_kind CHECK (kind IN ('row', 'contact')), 
	CONSTRAINT fk_rejections_contact_id FOREIGN KEY(contact_id) REFERENCES contacts (id), 
	CONSTRAINT fk_rejections_website_id FOREIGN KEY(website_id) REFERENCES websites (id), 
	CONSTRAINT uq_rejections_contact_id UNIQUE (contact_id), 
	CONSTRAINT uq_rejections_website_id_digest UNIQUE (website_id, digest)
);
INSERT INTO "rejections" VALUES(1,'row',1,NULL,X'9BF8F0037504254461769FFC753D3B3D','bad','The last-seen time cannot be read; expected ISO 8601, such as 2026-02-07T08:05:00Z.','bad_last_seen',NULL,2,1795748081842723,1795748083546155);
INSERT INTO "rejections" VALUES(2,'contact',NULL,6,NULL,'bob@example.test','no','VALIDATION_ERROR',NULL,1,1795748081874279,1795748081874279);
CREATE TABLE runs (
	id VARCHAR(32) NOT NULL, 
	website_id INTEGER NOT NULL, 
	kind VARCHAR(11) NOT NULL, 
	started BIGINT NOT NULL, 
	ended BIGINT, 
	status VARCHAR(10), 
	summary TEXT, 
	CONSTRAINT pk_runs PRIMARY KEY (id), 
	CONSTRAINT fk_runs_website_id FOREIGN KEY(website_id) REFERENCES websites (id)
);
INSERT INTO "runs" VALUES('3953c426ece444d2a7cd2af88b83741f',1,'incremental',1795748081473505,1795748081875343,'partial','{"run":"3953c426ece444d2a7cd2af88b83741f","kind":"incremental","website":"site_sandbox","dry_run":false,"status":"partial","exit_code":3,"reason":"2 newly rejected. See: visitor-sync rejections","window":{"since":"2026-02-08T12:00:00Z","until":"2026-03-10T12:00:00Z","range":"30d"},"rows":{"read":11,"accepted":9,"out_of_window":0,"anonymous":0,"opted_out":1,"rejected":1},"contacts":{"touched":6,"carried_over":0,"unchanged":0,"created":5,"updated":0,"rejected":1,"deferred":0},"requests":{"zenovay":1,"hubspot":6},"watermark":{"before":null,"after":"2026-03-10T12:00:00Z"},"elapsed_s":0.402,"warnings":["This state is new (state.db); this run reads the last 30 days."],"portal":8675309}');
INSERT INTO "runs" VALUES('74b0e40893dc42849442ed57a7d592d7',1,'incremental',1795748083491113,1795748083547835,'done','{"run":"74b0e40893dc42849442ed57a7d592d7","kind":"incremental","website":"site_sandbox","dry_run":false,"status":"done","exit_code":0,"reason":null,"window":{"since":"2026-03-10T11:00:00Z","until":"2026-03-10T12:00:00Z","range":"24h"},"rows":{"read":11,"accepted":2,"out_of_window":8,"anonymous":0,"opted_out":0,"rejected":1},"contacts":{"touched":2,"carried_over":0,"unchanged":2,"created":0,"updated":0,"rejected":0,"deferred":0},"requests":{"zenovay":1,"hubspot":0},"watermark":{"before":"2026-03-10T12:00:00Z","after":"2026-03-10T12:00:00Z"},"elapsed_s":0.057,"warnings":[],"portal":8675309}');
CREATE TABLE visitors (
	website_id INTEGER NOT NULL, 
	id TEXT NOT NULL, 
	contact_id INTEGER, 
	last_seen BIGINT NOT NULL, 
	pageviews BIGINT, 
	country VARCHAR(2), 
	country_at BIGINT, 
	email TEXT, 
	email_at BIGINT, 
	opted_out BOOLEAN, 
	opted_out_at BIGINT, 
	CONSTRAINT pk_visitors PRIMARY KEY (website_id, id), 
	CONSTRAINT fk_visitors_contact_id FOREIGN KEY(contact_id) REFERENCES contacts (id), 
	CONSTRAINT fk_visitors_website_id FOREIGN KEY(website_id) REFERENCES websites (id)
)
 WITHOUT ROWID

;
INSERT INTO "visitors" VALUES(1,'visitor-1',1,1773140400000000,30,'CH',1773140400000000,'ann@example.test',1773140400000000,NULL,NULL);
INSERT INTO "visitors" VALUES(1,'visitor-2',1,1773136800000000,2,'FR',1773136800000000,'ann@example.test',1773136800000000,NULL,NULL);
INSERT INTO "visitors" VALUES(1,'visitor-3',2,1773140400000000,3,'CH',1773133200000000,NULL,NULL,NULL,NULL);
INSERT INTO "visitors" VALUES(1,'visitor-4',3,1773129600000000,4,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "visitors" VALUES(1,'visitor-5',4,1773126000000000,NULL,'CH',1773126000000000,NULL,NULL,NULL,NULL);
INSERT INTO "visitors" VALUES(1,'visitor-6',NULL,1773122400000000,NULL,NULL,NULL,NULL,NULL,1,1773122400000000);
INSERT INTO "visitors" VALUES(1,'visitor-7',5,1773115200250000,7,'CH',1773115200250000,NULL,NULL,NULL,NULL);
INSERT INTO "visitors" VALUES(1,'visitor-8',6,1773115200000000,8,'CH',1773115200000000,'bob@example.test',1773115200000000,NULL,NULL);
CREATE TABLE websites (
	id INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	watermark BIGINT, swept BIGINT, newest_first BOOLEAN, strays TEXT, traffic TEXT, degraded_since BIGINT, degraded_why TEXT, read_at BIGINT, 
	CONSTRAINT pk_websites PRIMARY KEY (id), 
	CONSTRAINT uq_websites_name UNIQUE (name)
);
INSERT INTO "websites" VALUES(1,'site_sandbox',1773144000000000,1773144000000000,1,'[]','[[2955174,1],[2955192,2],[2955204,1],[2955210,1],[2955216,1],[2955222,1],[2955228,1],[2955234,2]]',NULL,NULL,1795748083491113);
CREATE INDEX ix_contacts_due ON contacts (id) WHERE due;
CREATE INDEX ix_rejections_key ON rejections ("key");
CREATE INDEX ix_runs_website_id_started ON runs (website_id, started);
CREATE INDEX ix_visitors_contact_id ON visitors (contact_id);
COMMIT;
