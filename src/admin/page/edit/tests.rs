use super::*;

#[test]
fn what_is_wrong_with_a_field_is_said_of_the_field_itself() {
    let fields = [
        "name",
        "url",
        "credentials",
        "username",
        "password",
        "signing",
        "account",
        "filter",
        "headers",
        "timeout",
        "ordering",
        "retry.schedule",
        "test_data",
    ];
    let (form, said) = (Form::default(), "Enter something else");
    let draw = |errors: &[FieldError]| {
        let edit = Edit {
            form: &form,
            detail: None,
            errors,
            notice: &Notice::None,
            test: None,
            events: &[],
            products: &[],
            done: "",
            removing: false,
            now_ms: 0,
            seen: None,
        };
        edit.draw().into_string()
    };
    // The whole tag that has this id.
    let tag = |page: &str, id: &str| {
        let (before, after) = page.split_once(&format!(" id=\"{id}\"")).expect(id);
        let start = before.rfind('<').expect("a tag");
        format!("{} {}", &before[start..], after.split('>').next().expect("its end"))
    };
    let errors: Vec<FieldError> = fields.iter().map(|field| ((*field).to_owned(), said.to_owned())).collect();
    let (good, bad) = (draw(&[]), draw(&errors));
    for field in fields {
        let id = anchor(field);
        let error = format!("{id}-error");
        assert!(tag(&bad, &error).starts_with("<span"), "{field}");
        let (good, bad) = (tag(&good, &id), tag(&bad, &id));
        assert!(bad.contains(&error) && bad.contains("aria-invalid=\"true\""), "{bad}");
        assert!(!good.contains(&error) && !good.contains("aria-invalid"), "{good}");
    }
}
