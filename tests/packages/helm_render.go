// Renders a Helm chart as "helm template" does, with the libraries that Helm itself uses: Go's templates, Sprig, YAML.
// What Helm adds to them (include, toYaml) is here; charts of ours use no more.
//
//	go run helm_render.go CHART-DIR NAMESPACE [VALUES.yaml...]     later files count more
package main

import (
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig"
	"gopkg.in/yaml.v3"
)

type values = map[string]interface{}

func load(path string) values {
	text, err := os.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}
	v := values{}
	if err := yaml.Unmarshal(text, &v); err != nil {
		log.Fatalf("%s: %v", path, err)
	}
	return v
}

func merge(into, from values) {
	for k, v := range from {
		a, one := into[k].(values)
		b, other := v.(values)
		if one && other {
			merge(a, b)
		} else {
			into[k] = v
		}
	}
}

func functions(t *template.Template) template.FuncMap {
	f := sprig.TxtFuncMap()
	f["toYaml"] = func(v interface{}) (string, error) {
		text, err := yaml.Marshal(v)
		return strings.TrimSuffix(string(text), "\n"), err
	}
	f["include"] = func(name string, data interface{}) (string, error) {
		var out strings.Builder
		err := t.ExecuteTemplate(&out, name, data)
		return out.String(), err
	}
	return f
}

func main() {
	log.SetFlags(0)
	if len(os.Args) < 3 {
		log.Fatal("usage: helm_render CHART-DIR NAMESPACE [VALUES.yaml...]")
	}
	chart, set := os.Args[1], load(filepath.Join(os.Args[1], "values.yaml"))
	for _, more := range os.Args[3:] {
		merge(set, load(more))
	}
	data := values{"Values": set, "Chart": load(filepath.Join(chart, "Chart.yaml")),
		"Release": values{"Namespace": os.Args[2], "Name": "twampmesh"}}
	t := template.New("chart").Option("missingkey=error")
	t.Funcs(functions(t))
	if _, err := t.ParseGlob(filepath.Join(chart, "templates", "*")); err != nil {
		log.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(chart, "templates", "*.yaml"))
	for _, f := range files {
		fmt.Println("---")
		if err := t.ExecuteTemplate(os.Stdout, filepath.Base(f), data); err != nil {
			log.Fatal(err)
		}
		fmt.Println()
	}
}
