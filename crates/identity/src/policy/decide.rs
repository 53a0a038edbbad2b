use super::glob::{matches, matches_parts, with_variables};
use super::{Context, Policy, Principals, Statement};

/// What policies say of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    Allowed,
    /// A statement denies it; no other can allow it.
    ExplicitDeny,
    /// No statement allows it.
    ImplicitDeny,
}

impl Decision {
    pub fn is_allowed(self) -> bool {
        self == Decision::Allowed
    }
}

/// What somebody wants to do.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// `sqs:SendMessage`
    pub action: &'a str,
    /// ARN, or `*` for actions without a resource.
    pub resource: &'a str,
    /// ARN of a caller or name of a service, for policies that name principals.
    pub principal: &'a str,
    pub context: &'a Context,
}

/// What identity policies say: an action, on a resource, under conditions.
pub fn allows(policies: &[Policy], action: &str, resource: &str, context: &Context) -> Decision {
    decide(policies, &Request { action, resource, principal: "", context })
}

/// What policies of any kind say: denied if any statement denies, allowed if any allows, else denied.
pub fn decide(policies: &[Policy], request: &Request<'_>) -> Decision {
    let mut decision = Decision::ImplicitDeny;
    for policy in policies {
        for statement in &policy.statements {
            if !statement.applies(request, policy.has_variables) {
                continue;
            }
            if !statement.allow {
                return Decision::ExplicitDeny;
            }
            decision = Decision::Allowed;
        }
    }
    decision
}

impl Statement {
    fn applies(&self, request: &Request<'_>, has_variables: bool) -> bool {
        let action = request.action.to_ascii_lowercase();
        let names_action = self.actions.patterns.iter().any(|p| matches(&p.to_ascii_lowercase(), &action));
        let names_resource = match &self.resources {
            None => true,
            Some(resources) => {
                let named = resources
                    .patterns
                    .iter()
                    .any(|p| if has_variables { filled_matches(p, request) } else { arn_matches(p, request.resource) });
                named != resources.negated
            }
        };
        names_action != self.actions.negated
            && names_resource
            && self.principals.as_ref().is_none_or(|p| p.name(request.principal))
            && self.conditions.iter().all(|c| c.holds(request.context, has_variables))
    }
}

impl Principals {
    fn name(&self, principal: &str) -> bool {
        let is_named =
            self.everybody || self.names.iter().any(|(kind, names)| names.iter().any(|n| is(kind, n, principal)));
        is_named != self.negated
    }
}

/// Whether a principal element means this principal. An account means everybody in it.
fn is(kind: &str, name: &str, principal: &str) -> bool {
    if kind != "AWS" || name == principal {
        return name == principal;
    }
    let parts: Vec<&str> = principal.splitn(6, ':').collect();
    let [_, _, service, _, account, resource] = parts[..] else { return false };
    let is_account = name == account || name == format!("arn:aws:iam::{account}:root");
    // A session of a role is also named by the role.
    let role = || resource.strip_prefix("assumed-role/").and_then(|r| r.split('/').next());
    let is_role = || {
        service == "sts"
            && role().is_some_and(|role| {
                name.strip_prefix(&format!("arn:aws:iam::{account}:role/"))
                    .is_some_and(|path| path.rsplit('/').next() == Some(role))
            })
    };
    is_account || is_role()
}

/// A resource pattern with variables, part by part as [`arn_matches`].
fn filled_matches(pattern: &str, request: &Request<'_>) -> bool {
    if !pattern.contains("${") {
        return arn_matches(pattern, request.resource);
    }
    let value = |key: &str| request.context.get(key).and_then(|v| if v.len() == 1 { Some(v[0].clone()) } else { None });
    with_variables(pattern, value).is_some_and(|parts| matches_parts(&parts, request.resource))
}

/// Whether an ARN matches a pattern of one: each of the six parts by itself, so that `*` does not span a colon of
/// the first five.
pub(super) fn arn_matches(pattern: &str, arn: &str) -> bool {
    if pattern == "*" || pattern == arn {
        return true;
    }
    let (wanted, sent): (Vec<&str>, Vec<&str>) = (pattern.splitn(6, ':').collect(), arn.splitn(6, ':').collect());
    if wanted.len() == 6 && sent.len() == 6 {
        return wanted.iter().zip(&sent).all(|(w, s)| matches(w, s));
    }
    // A shorter pattern ends in a wildcard: arn:aws:s3*
    wanted.len() < 6 && pattern.ends_with('*') && matches(pattern, arn)
}
