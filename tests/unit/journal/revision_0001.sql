BEGIN TRANSACTION;
CREATE TABLE attempts (
	account TEXT NOT NULL,
	client_id TEXT NOT NULL,
	n INTEGER NOT NULL,
	at DATETIME NOT NULL,
	CONSTRAINT pk_attempts PRIMARY KEY (account, client_id, n),
	CONSTRAINT fk_attempts_intents FOREIGN KEY(account, client_id) REFERENCES intents (account, client_id) ON DELETE CASCADE
);
INSERT INTO "attempts" VALUES('Broker-Demo:123456','A',1,'2025-01-06 10:00:00.000000');
INSERT INTO "attempts" VALUES('Broker-Demo:123456','X',1,'2025-01-06 10:00:00.000000');
CREATE TABLE blocks (
	id INTEGER NOT NULL,
	account TEXT NOT NULL,
	reason TEXT NOT NULL,
	detail TEXT NOT NULL,
	strategy TEXT NOT NULL,
	since DATETIME NOT NULL,
	until DATETIME,
	lifted_at DATETIME,
	lifted_by TEXT,
	CONSTRAINT pk_blocks PRIMARY KEY (id)
);
INSERT INTO "blocks" VALUES(1,'Broker-Demo:123456','daily_loss_limit','lost 100.00','','2025-01-06 10:00:00.000000',NULL,NULL,NULL);
CREATE TABLE candles (
	account TEXT NOT NULL,
	symbol TEXT NOT NULL,
	timeframe TEXT NOT NULL,
	last DATETIME NOT NULL,
	CONSTRAINT pk_candles PRIMARY KEY (account, symbol, timeframe)
);
INSERT INTO "candles" VALUES('Broker-Demo:123456','EURUSD.r','5','2025-01-06 10:00:00.000000');
CREATE TABLE deals (
	account TEXT NOT NULL,
	ticket BIGINT NOT NULL,
	client_id TEXT NOT NULL,
	volume TEXT NOT NULL,
	price TEXT NOT NULL,
	time DATETIME NOT NULL,
	body TEXT NOT NULL,
	CONSTRAINT pk_deals PRIMARY KEY (account, ticket)
);
INSERT INTO "deals" VALUES('Broker-Demo:123456',7,'A','0.04','1.10500','2025-01-06 10:00:01.000000','{"ticket":7,"order":6,"position":5,"symbol":"EURUSD.r","direction":"long","entry":"in","volume":"0.04","price":"1.10500","profit":"-0.10","commission":"-0.07","swap":"0","time":"2025-01-06T10:00:01Z","magic":1,"comment":"A","reason":null}');
CREATE TABLE intents (
	account TEXT NOT NULL,
	client_id TEXT NOT NULL,
	symbol TEXT NOT NULL,
	strategy TEXT NOT NULL,
	magic BIGINT NOT NULL,
	action TEXT NOT NULL,
	volume TEXT NOT NULL,
	state TEXT NOT NULL,
	ticket BIGINT NOT NULL,
	attempts INTEGER NOT NULL,
	filled TEXT NOT NULL,
	detail TEXT NOT NULL,
	admitted_at DATETIME NOT NULL,
	sent_at DATETIME NOT NULL,
	body TEXT NOT NULL,
	CONSTRAINT pk_intents PRIMARY KEY (account, client_id)
);
INSERT INTO "intents" VALUES('Broker-Demo:123456','A','EURUSD.r','cross',9007199254740991,'entry','0.10','placed',6,1,'0.04','','2025-01-06 10:00:00.000000','2025-01-06 10:00:00.000000','{"client_id":"A","strategy":"cross","magic":9007199254740991,"symbol":"EURUSD.r","timeframe":"5","candle_time":"2025-01-06T10:00:00Z","action":"entry","leg":0,"direction":"long","kind":"limit","volume":"0.10","price":"1.10500","stop_loss":"1.1","take_profit":"1.12","ticket":null,"group":"G","close_reason":null,"expected_price":"1.1050","targets":["1.11","1.12"]}');
INSERT INTO "intents" VALUES('Broker-Demo:123456','X','EURUSD.r','cross',9007199254740991,'exit','0.10','unknown',0,1,'0','no answer','2025-01-06 10:00:00.000000','2025-01-06 10:00:00.000000','{"client_id":"X","strategy":"cross","magic":9007199254740991,"symbol":"EURUSD.r","timeframe":"5","candle_time":"2025-01-06T10:00:00Z","action":"exit","leg":0,"direction":"long","kind":"market","volume":"0.10","price":null,"stop_loss":"1.1","take_profit":"1.12","ticket":5,"group":"G","close_reason":"signal","expected_price":"1.1050","targets":["1.11","1.12"]}');
CREATE TABLE journal_version (
	version_num VARCHAR(32) NOT NULL,
	CONSTRAINT journal_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "journal_version" VALUES('0001');
CREATE TABLE plans (
	account TEXT NOT NULL,
	ticket BIGINT NOT NULL,
	body TEXT NOT NULL,
	CONSTRAINT pk_plans PRIMARY KEY (account, ticket)
);
INSERT INTO "plans" VALUES('Broker-Demo:123456',5,'{"ticket":5,"client_id":"A","strategy":"cross","magic":1,"symbol":"EURUSD.r","timeframe":"1","direction":"long","opened_at":"2025-01-06T10:00:00Z","entry":"1.10","opened":"1","volume":"1.00","best":1.1,"stop":null,"take_profit":null,"targets":[{"price":"1.2","volume":"0.5","move_stop":true}],"targets_hit":0,"peak_profit":0.0,"break_even":false,"group":"","realised":"0","closing":"0","owed":"0","exit_reason":null,"deals":[7,8],"due":null,"joined":[]}');
CREATE TABLE states (
	account TEXT NOT NULL,
	name TEXT NOT NULL,
	text TEXT NOT NULL,
	CONSTRAINT pk_states PRIMARY KEY (account, name)
);
INSERT INTO "states" VALUES('Broker-Demo:123456','paper','{}');
CREATE TABLE transitions (
	id INTEGER NOT NULL,
	account TEXT NOT NULL,
	client_id TEXT NOT NULL,
	at DATETIME NOT NULL,
	state TEXT NOT NULL,
	ticket BIGINT NOT NULL,
	detail TEXT NOT NULL,
	correlation_id TEXT NOT NULL,
	CONSTRAINT pk_transitions PRIMARY KEY (id),
	CONSTRAINT fk_transitions_intents FOREIGN KEY(account, client_id) REFERENCES intents (account, client_id) ON DELETE CASCADE
);
INSERT INTO "transitions" VALUES(1,'Broker-Demo:123456','A','2025-01-06 10:00:00.000000','sending',0,'','-');
INSERT INTO "transitions" VALUES(2,'Broker-Demo:123456','A','2025-01-06 10:00:01.000000','placed',6,'','-');
INSERT INTO "transitions" VALUES(3,'Broker-Demo:123456','X','2025-01-06 10:00:00.000000','sending',0,'','-');
INSERT INTO "transitions" VALUES(4,'Broker-Demo:123456','X','2025-01-06 10:00:00.000000','unknown',0,'no answer','-');
CREATE TABLE writers (
	account TEXT NOT NULL,
	epoch BIGINT NOT NULL,
	holder TEXT NOT NULL,
	at DATETIME NOT NULL,
	CONSTRAINT pk_writers PRIMARY KEY (account)
);
INSERT INTO "writers" VALUES('Broker-Demo:123456',1,'pid 1 on host','2025-01-06 10:00:00.000000');
CREATE INDEX ix_intents_account_state ON intents (account, state);
CREATE INDEX ix_intents_account_ticket ON intents (account, ticket);
CREATE INDEX ix_transitions_account_client_id ON transitions (account, client_id);
CREATE INDEX ix_deals_account_client_id ON deals (account, client_id);
CREATE INDEX ix_deals_account_time ON deals (account, time);
CREATE INDEX ix_blocks_account_lifted_at ON blocks (account, lifted_at);
COMMIT;
