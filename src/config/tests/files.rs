//! Files that the settings of a sink name.

use super::*;

const TEXT: &str = "events = 'all'\nproducts = 'all'\n[reader]\nurl = 'http://a.example/'\nauth = {}\nfile = 'sinks/a.wasm'\n";
const PATH: &str = "/etc/postrider/sinks/a.wasm";

fn secrets(content: Option<&[u8]>) -> FakeSecrets {
    let mut secrets = FakeSecrets::default();
    if let Some(content) = content {
        secrets.files.insert(PATH.to_owned(), Ok(content.to_vec()));
    }
    secrets
}

#[test]
fn a_file_of_a_sink_is_watched_and_another_content_is_another_endpoint() {
    let read = |content: &[u8]| endpoint_with(TEXT, "", &secrets(Some(content)));
    let compiled = read(b"one");
    assert_eq!(compiled.secret_files, [Path::new(PATH)]);
    let spec = compiled.result.unwrap();
    assert_eq!(spec, read(b"one").result.unwrap());
    assert_ne!(spec, read(b"two").result.unwrap());
}

#[test]
fn a_file_that_is_not_there_is_an_error_at_its_name_and_none_in_a_draft() {
    let compiled = endpoint_with(TEXT, "", &secrets(None));
    assert_eq!(compiled.secret_files, [Path::new(PATH)]);
    let errors = compiled.result.unwrap_err();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!(errors[0].message, "cannot read sinks/a.wasm: no such file");
    assert_eq!((errors[0].line, errors[0].column), (Some(6), Some(8)));
    let draft = format!("state = 'draft'\n{TEXT}");
    assert!(endpoint_with(&draft, "", &secrets(None)).result.is_ok());
}

#[test]
fn a_sink_that_this_binary_was_built_without_is_named() {
    let errors = endpoint("events = 'all'\nproducts = 'all'\n[wasm]\nfile = 'a.wasm'\n").unwrap_err();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!(errors[0].message, "this binary was built without [wasm]");
    assert!(errors[0].help.as_deref().is_some_and(|help| help.contains("--features wasm")), "{errors:?}");
}
