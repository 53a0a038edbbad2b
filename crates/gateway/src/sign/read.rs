use std::borrow::Cow;

use http::header::AUTHORIZATION;
use http::request::Parts;
use percent_encoding::percent_decode_str;

use super::Refusal;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// A signature names no more headers than a request may have.
const SIGNED_HEADERS_MAX: usize = 256;

/// What a request says of who signed it, not yet believed.
#[derive(Debug, Default)]
pub(crate) struct Signature<'a> {
    pub access_key_id: Cow<'a, str>,
    /// The scope: date, region, service, terminator.
    pub date: Cow<'a, str>,
    pub region: Cow<'a, str>,
    pub service: Cow<'a, str>,
    pub terminator: Cow<'a, str>,
    pub signed_headers: Vec<Cow<'a, str>>,
    /// Hexadecimal.
    pub signature: Cow<'a, str>,
    /// `YYYYMMDD'T'HHMMSS'Z'`.
    pub timestamp: Cow<'a, str>,
    pub token: Option<Cow<'a, str>>,
    /// Seconds that a presigned URL is valid; `None` for a signature in the Authorization header.
    pub expires_seconds: Option<u64>,
    /// What is missing or malformed; such a signature still tells account and region, but is never valid.
    pub flaw: Option<String>,
}

impl<'a> Signature<'a> {
    /// Reads the Authorization header or the presigned query string; `None` if there is neither.
    pub fn read(parts: &'a Parts) -> Option<Signature<'a>> {
        if let Some(header) = parts.headers.get(AUTHORIZATION) {
            return Some(match header.to_str() {
                Ok(text) => Signature::of_header(text, parts),
                Err(_) => Signature::flawed("the Authorization header is not plain text"),
            });
        }
        let query = parts.uri.query()?;
        query.contains("X-Amz-Credential=").then(|| Signature::of_query(query))
    }

    fn flawed(flaw: &str) -> Signature<'a> {
        Signature { flaw: Some(flaw.to_owned()), ..Signature::default() }
    }

    fn of_header(text: &'a str, parts: &'a Parts) -> Signature<'a> {
        let (algorithm, fields) = text.split_once(' ').unwrap_or((text, ""));
        let mut read = Signature::default();
        if algorithm == "AWS" {
            // Signature Version 2, of S3 clients long gone: AWS key:signature
            read.access_key_id = fields.split(':').next().unwrap_or("").into();
        }
        if algorithm != ALGORITHM {
            read.flaw = Some(format!("unsupported algorithm in the Authorization header, expected {ALGORITHM}"));
        }
        let (mut credential, mut signed, mut signature) = (false, false, false);
        for field in fields.split(',') {
            match field.trim().split_once('=') {
                Some(("Credential", value)) => {
                    credential = true;
                    read.set_credential(value.into());
                }
                Some(("SignedHeaders", value)) => {
                    signed = true;
                    read.signed_headers = value.split(';').take(SIGNED_HEADERS_MAX).map(Cow::Borrowed).collect();
                }
                Some(("Signature", value)) => {
                    signature = true;
                    read.signature = value.trim().into();
                }
                _ => {}
            }
        }
        let header = |name: &str| parts.headers.get(name).and_then(|v| v.to_str().ok());
        read.token = header("x-amz-security-token").map(Cow::Borrowed);
        let date = header("x-amz-date").or_else(|| header("date"));
        read.timestamp = date.unwrap_or("").into();
        let mut missing = String::new();
        for (there, name) in [(credential, "Credential"), (signature, "Signature"), (signed, "SignedHeaders")] {
            if !there {
                missing.push_str(&format!("Authorization header requires '{name}' parameter. "));
            }
        }
        if date.is_none() {
            missing.push_str("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ");
        }
        if !missing.is_empty() && read.flaw.is_none() {
            read.flaw = Some(missing.trim_end().to_owned());
        }
        read
    }

    fn of_query(query: &'a str) -> Signature<'a> {
        let mut read = Signature::default();
        let mut algorithm = false;
        let mut seen = 0;
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = percent_decode_str(value).decode_utf8().unwrap_or_default();
            match name {
                "X-Amz-Algorithm" => algorithm = value == ALGORITHM,
                "X-Amz-Credential" => read.set_credential(value),
                "X-Amz-Date" => read.timestamp = value,
                "X-Amz-Expires" => read.expires_seconds = value.parse().ok(),
                "X-Amz-SignedHeaders" => {
                    let names = value.split(';').take(SIGNED_HEADERS_MAX);
                    read.signed_headers = names.map(|n| Cow::Owned(n.to_owned())).collect();
                }
                "X-Amz-Signature" => read.signature = value,
                "X-Amz-Security-Token" => {
                    read.token = Some(value);
                    continue;
                }
                _ => continue,
            }
            seen += 1;
        }
        if !algorithm || seen != 6 || read.expires_seconds.is_none_or(|s| s == 0 || s > 604_800) {
            read.expires_seconds.get_or_insert(0);
            read.flaw = Some(
                "AWS query-string parameters must include 'X-Amz-Algorithm', 'X-Amz-Credential', 'X-Amz-Signature', \
                 'X-Amz-SignedHeaders', 'X-Amz-Date' and an 'X-Amz-Expires' of 1 to 604800 seconds. Re-examine the \
                 query-string parameters."
                    .to_owned(),
            );
        }
        read
    }

    /// `KEY/20240115/us-east-1/sqs/aws4_request`; from the right, as nothing forbids a slash in a key.
    fn set_credential(&mut self, credential: Cow<'a, str>) {
        let mut parts = credential.rsplitn(5, '/').map(str::to_owned);
        let mut next = || Cow::<str>::Owned(parts.next().unwrap_or_default());
        (self.terminator, self.service, self.region, self.date) = (next(), next(), next(), next());
        self.access_key_id = next();
        if self.access_key_id.is_empty() {
            self.access_key_id = std::mem::take(&mut self.terminator);
            self.flaw = Some(format!(
                "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '{}'",
                credential.chars().take(200).collect::<String>()
            ));
        }
    }

    pub fn check_form(&self) -> Result<(), Refusal> {
        self.flaw.clone().map_or(Ok(()), |flaw| Err(Refusal::Incomplete(flaw)))
    }
}
