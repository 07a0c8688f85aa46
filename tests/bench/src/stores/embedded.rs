//! Embedded stores: Rejoin's segment log, SQLite and fjall, each durable after every batch.

use super::Store;
use crate::Outcome;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use rejoin_core::Record;
use rejoin_log::segment::{LogId, OpenOptions, Options};
use rejoin_log::{Log, SegmentLog, schema};
use rusqlite::{Connection, params};
use std::path::Path;
use std::sync::Arc;

#[derive(Debug)]
pub struct Segments(SegmentLog);

impl Segments {
    /// # Errors
    ///
    /// If the log cannot be created.
    pub fn open(directory: &Path, options: Options) -> Outcome<Self> {
        let id = LogId::from_bytes([1; 16]);
        let (log, _) = OpenOptions::directory(directory, id)
            .options(options)
            .open_unfolded()?;
        Ok(Self(log))
    }
}

impl Store for Segments {
    fn append(&mut self, records: &[Arc<Record>]) -> Outcome<()> {
        Ok(self.0.append(records)?)
    }
}

#[derive(Debug)]
pub struct Sqlite(Connection);

impl Sqlite {
    /// Rows in log order, with an index of session and sequence; one transaction per batch.
    ///
    /// # Errors
    ///
    /// If the database cannot be created.
    pub fn create(path: &Path) -> Outcome<Self> {
        let connection = Connection::open(path)?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             CREATE TABLE records (
                 place INTEGER PRIMARY KEY, session BLOB, sequence INTEGER, record BLOB
             );
             CREATE UNIQUE INDEX sequences ON records (session, sequence);",
        )?;
        Ok(Self(connection))
    }
}

impl Store for Sqlite {
    fn append(&mut self, records: &[Arc<Record>]) -> Outcome<()> {
        let transaction = self.0.transaction()?;
        {
            let mut insert = transaction.prepare_cached(
                "INSERT INTO records (session, sequence, record) VALUES (?1, ?2, ?3)",
            )?;
            let mut bytes = Vec::new();
            for record in records {
                bytes.clear();
                schema::encode(record, &mut bytes);
                let session = record.session.to_bytes();
                let sequence = i64::try_from(record.sequence.0)?;
                insert.execute(params![session, sequence, bytes])?;
            }
        }
        Ok(transaction.commit()?)
    }
}

pub struct Fjall {
    database: Database,
    records: Keyspace,
}

impl Fjall {
    /// Keys are session and sequence; each batch is one synced fjall batch.
    ///
    /// # Errors
    ///
    /// If the database cannot be created.
    pub fn create(directory: &Path) -> Outcome<Self> {
        let database = Database::builder(directory).open()?;
        let records = database.keyspace("records", KeyspaceCreateOptions::default)?;
        Ok(Self { database, records })
    }
}

impl Store for Fjall {
    fn append(&mut self, records: &[Arc<Record>]) -> Outcome<()> {
        let mut batch = self
            .database
            .batch()
            .durability(Some(PersistMode::SyncData));
        for record in records {
            let key = [
                &record.session.to_bytes()[..],
                &record.sequence.0.to_be_bytes(),
            ]
            .concat();
            let mut bytes = Vec::new();
            schema::encode(record, &mut bytes);
            batch.insert(&self.records, key, bytes);
        }
        Ok(batch.commit()?)
    }
}
