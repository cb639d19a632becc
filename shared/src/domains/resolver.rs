//! Asking name servers for the proof of a domain.
//!
//! ```text
//! TXT of _gatepost-challenge.<domain>. ─► CNAMEs followed, strings of a record joined ─► all records
//!     no such name, or no such record ─► none      anything else, or too late ─► not known
//! ```
//!
//! Nothing else is asked and nothing is connected to but the name server. No answer is kept: each lookup asks anew, so that
//! a record counts as soon as the name server has it.

use std::net::SocketAddr;

use hickory_resolver::{
    Resolver, TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig},
    net::{DnsError, NetError, runtime::TokioRuntimeProvider},
    proto::{
        op::ResponseCode,
        rr::{Name, RData},
    },
};

use super::{DomainsConfig, entity::record_name};

/// How often a name server is asked within the time of a lookup.
const ATTEMPTS: usize = 2;

/// It is not known whether there is a record; why, for the log.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unanswered(pub String);

/// What the TXT records say that can prove a domain.
pub(super) async fn challenges(config: &DomainsConfig, domain: &str) -> Result<Vec<String>, Unanswered> {
    let unanswered = |error: NetError| Unanswered(error.to_string());
    let resolver = resolver(config).map_err(unanswered)?;
    // A name that ends with a dot is looked up as it is, without the search list of this machine.
    let name = Name::from_utf8(format!("{}.", record_name(domain))).map_err(|error| Unanswered(error.to_string()))?;
    match tokio::time::timeout(config.lookup(), resolver.txt_lookup(name)).await {
        Err(_) => Err(Unanswered("it took too long".to_owned())),
        Ok(Ok(lookup)) => Ok(lookup.answers().iter().filter_map(|record| joined(&record.data)).collect()),
        Ok(Err(error)) if is_absence(&error) => Ok(Vec::new()),
        Ok(Err(error)) => Err(unanswered(error)),
    }
}

fn resolver(config: &DomainsConfig) -> Result<TokioResolver, NetError> {
    let mut builder = match config.resolver {
        Some(address) => Resolver::builder_with_config(only(address), TokioRuntimeProvider::default()),
        None => TokioResolver::builder_tokio()?,
    };
    let options = builder.options_mut();
    options.attempts = ATTEMPTS;
    options.timeout = config.lookup() / u32::try_from(ATTEMPTS).unwrap_or(1);
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    builder.build()
}

/// One name server, by UDP, and by TCP for answers that are too large.
fn only(address: SocketAddr) -> ResolverConfig {
    let at = |mut connection: ConnectionConfig| {
        connection.port = address.port();
        connection
    };
    let connections = vec![at(ConnectionConfig::udp()), at(ConnectionConfig::tcp())];
    ResolverConfig::from_name_servers(vec![NameServerConfig::new(address.ip(), true, connections)])
}

/// The strings of one record, as one.
fn joined(data: &RData) -> Option<String> {
    let RData::TXT(txt) = data else { return None };
    let bytes: Vec<u8> = txt.txt_data.iter().flat_map(|part| part.iter().copied()).collect();
    String::from_utf8(bytes).ok()
}

/// Whether the name server said that there is no such name or no such record, rather than that it does not know.
fn is_absence(error: &NetError) -> bool {
    let NetError::Dns(DnsError::NoRecordsFound(none)) = error else { return false };
    matches!(none.response_code, ResponseCode::NXDomain | ResponseCode::NoError)
}
