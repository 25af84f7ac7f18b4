//! YAML as JSON values.

use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value};

/// The documents of a file; empty ones are left out.
pub fn parse(text: &str) -> Result<Vec<Value>, String> {
    let documents = Yaml::load_from_str(text).map_err(|e| e.to_string())?;
    let values: Result<Vec<_>, _> = documents.iter().map(value).collect();
    Ok(values?.into_iter().filter(|v| !v.is_null()).collect())
}

fn value(node: &Yaml) -> Result<Value, String> {
    Ok(match node {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(b)) => (*b).into(),
        Yaml::Value(Scalar::Integer(n)) => (*n).into(),
        Yaml::Value(Scalar::FloatingPoint(n)) => n.into_inner().into(),
        Yaml::Value(Scalar::String(s)) => s.as_ref().into(),
        Yaml::Sequence(items) => Value::Array(items.iter().map(value).collect::<Result<_, _>>()?),
        Yaml::Mapping(entries) => {
            let mut map = Map::new();
            for (key, entry) in entries {
                let key = key.as_str().ok_or_else(|| format!("a key that is not text: {key:?}"))?;
                map.insert(key.to_owned(), value(entry)?);
            }
            Value::Object(map)
        }
        other => return Err(format!("neither a value nor a list nor a map: {other:?}")),
    })
}

#[test]
fn documents() {
    let text = "a: 1\nb: [x, true, \"9200\"]\n---\n# nothing\n---\nt: |\n  one\n    two\n\n  three\n";
    let want = serde_json::json!([{"a": 1, "b": ["x", true, "9200"]}, {"t": "one\n  two\n\nthree\n"}]);
    assert_eq!(Value::Array(parse(text).unwrap()), want);
    assert!(parse("a: [").is_err());
}
