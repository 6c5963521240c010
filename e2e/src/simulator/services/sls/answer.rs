//! The form of GetLogsV2's answers: rows, `meta`, compression.

use std::io::Write;

use flate2::{Compression, write::GzEncoder, write::ZlibEncoder};
use serde_json::{Map, Value, json};

use crate::simulator::message::{Refusal, Reply};
use crate::simulator::search::sql::{Analysis, Datum};
use crate::simulator::world::{GzipForm, Record, RowForm};

/// What an answer says about how the search went.
pub(super) struct Progress<'a> {
    pub(super) complete: bool,
    pub(super) processed: usize,
    /// The part of the query before `|`.
    pub(super) search: &'a str,
}

impl Progress<'_> {
    /// `Complete` or `Incomplete`.
    pub(super) fn name(complete: bool) -> &'static str {
        if complete { "Complete" } else { "Incomplete" }
    }

    /// The answer to a search.
    pub(super) fn found(&self, rows: Vec<Value>) -> Value {
        json!({"meta": self.meta(rows.len()), "data": rows})
    }

    /// The answer to an analysis. Beside its columns, a row has a source without a value and the start of the range as its
    /// time: the older SDKs demand the two of every row. (That a column of that name wins is a guess.)
    pub(super) fn analysed(&self, statement: &str, from: i64, analysis: &Analysis) -> Value {
        let row = |values: &Vec<Datum>| -> Value {
            let own = [
                ("__source__".to_owned(), json!("")),
                ("__time__".to_owned(), json!(from.to_string())),
            ];
            let columns = analysis.names.iter().cloned().zip(values);
            let columns = columns.map(|(name, value)| (name, json!(value.to_string())));
            own.into_iter().chain(columns).collect::<Map<_, _>>().into()
        };
        let rows: Vec<Value> = analysis.rows.iter().map(row).collect();
        let mut meta = self.meta(rows.len());
        meta["hasSQL"] = true.into();
        meta["aggQuery"] = statement.into();
        meta["keys"] = json!(analysis.names);
        meta["columnTypes"] = json!(analysis.types);
        meta["limited"] = analysis.limit.into();
        json!({"meta": meta, "data": rows})
    }

    fn meta(&self, count: usize) -> Value {
        json!({
            "count": count,
            "progress": Self::name(self.complete),
            "processedRows": self.processed,
            "processedBytes": 0,
            "elapsedMillisecond": 1,
            "hasSQL": false,
            "whereQuery": self.search,
            "aggQuery": "",
            "keys": [],
            "terms": [],
            "mode": 0,
            "limited": 0,
            "isAccurate": true,
            "telementryType": "",
        })
    }
}

/// A record as a row of an answer.
pub(super) fn row(record: &Record, form: Option<RowForm>) -> Value {
    const TIME: &str = "__time__";
    const USER: &str = "user.username";
    let mut row = json!(record);
    let user = json!(record.get(USER));
    match form {
        None => return row,
        Some(RowForm::NullTime) => row[TIME] = Value::Null,
        Some(RowForm::FractionalTime) => row[TIME] = format!("{}.5", record.time()).into(),
        Some(RowForm::Milliseconds) => row[TIME] = (record.time() * 1000).to_string().into(),
        Some(RowForm::NumericTime) => row[TIME] = record.time().into(),
        Some(RowForm::UserList) => row[USER] = json!([user]),
        Some(RowForm::UserObject) => row[USER] = json!({"name": user}),
        Some(RowForm::UserListText) => row[USER] = json!([user]).to_string().into(),
        Some(form @ (RowForm::NoTime | RowForm::NoUser)) => {
            let absent = if form == RowForm::NoTime { TIME } else { USER };
            row.as_object_mut().map(|fields| fields.remove(absent));
        }
    }
    row
}

/// How an answer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// A raw lz4 block: its size is in the headers only.
    Lz4,
    /// A zstd frame.
    Zstd,
    /// Either form of gzip.
    Gzip,
    /// What HTTP calls deflate: the zlib form.
    Deflate,
}

impl Encoding {
    /// The first encoding that the header Accept-Encoding names and SLS has.
    pub(super) fn accepted(header: &str) -> Result<Self, Refusal> {
        let names = header
            .split(',')
            .map(|name| name.split(';').next().unwrap_or("").trim().to_lowercase());
        let known = |name: String| match name.as_str() {
            "lz4" => Some(Self::Lz4),
            "zstd" => Some(Self::Zstd),
            "gzip" => Some(Self::Gzip),
            "deflate" => Some(Self::Deflate),
            _ => None,
        };
        // That the header is required is documented; the code for its absence is not.
        let message = "the header Accept-Encoding must say lz4, zstd or gzip";
        names
            .filter_map(known)
            .next()
            .ok_or_else(|| Refusal::new(400, "Simulated.AcceptEncodingMissing", message))
    }

    /// The answer, compressed; the service says how in headers of its own and not in Content-Encoding.
    pub(super) fn compress(self, answer: &Value, gzip: GzipForm) -> Result<Reply, Refusal> {
        let raw = answer.to_string().into_bytes();
        let failed = |error: std::io::Error| Refusal::new(500, "InternalServerError", error.to_string());
        let (name, body) = match (self, gzip) {
            (Self::Lz4, _) => ("lz4", lz4_flex::block::compress(&raw)),
            (Self::Zstd, _) => {
                use ruzstd::encoding::{CompressionLevel, compress_to_vec};
                ("zstd", compress_to_vec(raw.as_slice(), CompressionLevel::Fastest))
            }
            (Self::Gzip, GzipForm::Gzip) => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
                (
                    "gzip",
                    encoder
                        .write_all(&raw)
                        .and_then(|()| encoder.finish())
                        .map_err(failed)?,
                )
            }
            (Self::Gzip, GzipForm::Zlib) | (Self::Deflate, _) => {
                let name = if self == Self::Gzip { "gzip" } else { "deflate" };
                let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
                (
                    name,
                    encoder
                        .write_all(&raw)
                        .and_then(|()| encoder.finish())
                        .map_err(failed)?,
                )
            }
        };
        let mut reply = Reply::json(&Value::Null);
        reply.headers = vec![("content-type", "application/json".to_owned())];
        reply.body = body;
        Ok(reply
            .with_header("x-log-compresstype", name)
            .with_header("x-log-bodyrawsize", raw.len().to_string()))
    }
}
