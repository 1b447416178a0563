//! `/`: the commands as a page with links and forms.

use std::fmt::Write;

use axum::response::Response;

use super::{
    command::{Asked, COMMANDS, Command, Kind, Parameter, Run},
    page::{self, escape},
    red,
};

/// `/`
pub(super) fn page(asked: &Asked) -> Response {
    let mut body = String::with_capacity(16 << 10);
    red::write(&mut body, &asked.subject);
    body.push_str("<p>What becomes of spans: <a href=\"tracing\">/tracing</a></p>");
    // Writing to a text does not fail.
    let _ = write_commands(&mut body, asked.subject.keeps_traces);
    page::answer("Admin", &body)
}

fn write_commands(out: &mut String, keeps_traces: bool) -> std::fmt::Result {
    out.push_str(
        "<h2 id=\"commands\">Commands</h2><table aria-labelledby=\"commands\"><thead><tr><th scope=\"col\">Command</th>\
         <th scope=\"col\">Description</th></tr></thead><tbody>",
    );
    let shown = COMMANDS.iter().filter(|command| keeps_traces || !matches!(command.run, Run::Elsewhere));
    for (number, command) in shown.enumerate() {
        write_command(out, number, command)?;
    }
    out.push_str("</tbody></table>");
    Ok(())
}

/// A link where nothing can be said, a form otherwise. Addresses are relative, as in Envoy, so that the page works below
/// a path, too.
fn write_command(out: &mut String, number: usize, command: &Command) -> std::fmt::Result {
    let path = match command.path.trim_start_matches('/') {
        "" => "./",
        path => path,
    };
    let (name, help) = (command.path, escape(command.help));
    if !command.mutates && command.parameters.is_empty() {
        return write!(out, "<tr><td><a href=\"{path}\">{name}</a></td><td>{help}</td></tr>");
    }
    let method = if command.mutates { "post" } else { "get" };
    let style = if command.mutates { "changes" } else { "asks" };
    write!(
        out,
        "<tr><td><form action=\"{path}\" method=\"{method}\" id=\"form-{number}\"><button class=\"{style}\">{name}</button>\
         </form></td><td>{help}"
    )?;
    for parameter in command.parameters {
        write_parameter(out, number, parameter)?;
    }
    out.push_str("</td></tr>");
    Ok(())
}

fn write_parameter(out: &mut String, number: usize, parameter: &Parameter) -> std::fmt::Result {
    let name = parameter.name;
    let of = format!("name=\"{name}\" id=\"form-{number}-{name}\" form=\"form-{number}\"");
    out.push_str("<div class=\"parameter\">");
    match parameter.kind {
        Kind::Text => write!(out, "<input type=\"text\" {of}>")?,
        Kind::Flag => write!(out, "<input type=\"checkbox\" {of}>")?,
        Kind::OneOf(values) => {
            write!(out, "<select {of}>")?;
            for value in values {
                write!(out, "<option value=\"{value}\">{value}</option>")?;
            }
            out.push_str("</select>");
        }
    }
    write!(
        out,
        " <label for=\"form-{number}-{name}\"><b>{name}</b>: {}</label></div>",
        escape(parameter.help)
    )
}
