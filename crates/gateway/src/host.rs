//! What the Host header says: a bucket, a service, an endpoint.

/// The bucket that a virtual-hosted S3 request names: `b.s3.localhost:4566`, `b.s3.eu-west-1.example.org`, `b.localhost`.
///
/// A name whose first label is one of our services (`sqs.us-east-1.localhost`) is no bucket.
pub fn virtual_bucket(host: &str) -> Option<&str> {
    let name = without_port(host);
    if name.parse::<std::net::IpAddr>().is_ok() || name.starts_with('[') {
        return None;
    }
    let lower = name.to_ascii_lowercase();
    for mark in [".s3.", ".s3-"] {
        if let Some(at) = lower.find(mark) {
            return (at > 0).then(|| &name[..at]);
        }
    }
    let bucket = &name[..lower.strip_suffix(".localhost")?.len()];
    let first = bucket.split('.').next().unwrap_or(bucket);
    let is_service = first == "s3" || first.starts_with("sync-") || first == "api" || SERVICE_LABELS.contains(&first);
    (!bucket.is_empty() && !is_service).then_some(bucket)
}

/// First labels of AWS's own host names.
const SERVICE_LABELS: &[&str] = &[
    "cloudformation",
    "dynamodb",
    "events",
    "firehose",
    "glue",
    "iam",
    "kinesis",
    "kms",
    "lambda",
    "logs",
    "monitoring",
    "pipes",
    "queue",
    "rds",
    "rds-data",
    "s3-control",
    "scheduler",
    "secretsmanager",
    "sns",
    "sqs",
    "ssm",
    "states",
    "streams",
    "sts",
    "tagging",
];

pub(crate) fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

/// `http://host:port` as the caller wrote it, without the prefix that SDKs put before some calls' hosts.
pub(crate) fn endpoint(host: Option<&str>, listen: &str) -> String {
    let is_plain = |h: &&str| {
        !h.is_empty() && h.len() <= 255 && h.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b))
    };
    let host = host.filter(is_plain).unwrap_or(listen);
    format!("http://{}", host.strip_prefix("sync-").unwrap_or(host))
}

/// Whether a browser's `Origin` lies beyond this machine.
pub(crate) fn is_foreign_origin(origin: &str) -> bool {
    let Some((_, host)) = origin.split_once("://") else { return true };
    let name = without_port(host);
    let address = name.trim_start_matches('[').trim_end_matches(']');
    let is_loopback = address.parse::<std::net::IpAddr>().is_ok_and(|a| a.is_loopback());
    !(is_loopback || name == "localhost" || name.ends_with(".localhost"))
}
