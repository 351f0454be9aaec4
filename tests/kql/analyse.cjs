// Analyses Kusto queries: {"tables": {name: "(column:type, ...)"}, "queries": {name: text}} on standard input becomes
// {name: {"problems": ["line:column severity message"], "columns": "(name: type, ...)"}} on standard output.
// The two scripts define globals, in this order; names with $ctorN belong to the pinned version.
"use strict";

require("@kusto/language-service-next/bridge.min.js");
require("@kusto/language-service-next/Kusto.Language.Bridge.min.js");

const { Language } = globalThis.Kusto;
const { Symbols, GlobalState, KustoCode } = Language;

let input = "";
process.stdin.on("data", (chunk) => (input += chunk));
process.stdin.on("end", () => {
  const { tables, queries } = JSON.parse(input);
  const symbols = Object.entries(tables).map(([name, columns]) => new Symbols.TableSymbol.$ctor7(name, columns, null));
  const globals = GlobalState.Default.WithDatabase(new Symbols.DatabaseSymbol.ctor("workspace", symbols));
  const answers = {};
  for (const [name, text] of Object.entries(queries)) {
    const code = KustoCode.ParseAndAnalyze(text, globals);
    const found = code.GetDiagnostics();
    const problems = [];
    for (let i = 0; i < found.Count; i += 1) {
      const one = found.getItem(i);
      const before = text.slice(0, one.Start).split("\n");
      problems.push(`${before.length}:${before.at(-1).length + 1} ${one.Severity} ${one.Message}`);
    }
    answers[name] = { problems, columns: code.ResultType ? Symbols.SchemaDisplay.GetText(code.ResultType) : "" };
  }
  process.stdout.write(JSON.stringify(answers));
});
