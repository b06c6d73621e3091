// Writes archives with the packages of Go, reads each again with them, and lists what they read.
package main

import (
	"archive/tar"
	"archive/zip"
	"compress/flate"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

type file struct{ name, text string }

var (
	files = []file{
		{"a", "some text of a\n"},
		{"empty", ""},
		{"dir/ümläut ✓", "utf-8"},
		{"dir/block", strings.Repeat("b", 512)},
		{"text", strings.Repeat("text that compresses\n", 100)},
	}
	long  = file{strings.Repeat("d", 90) + "/" + strings.Repeat("e", 120) + "/f", "long"}
	when  = time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	lists strings.Builder
)

func must[T any](value T, err error) T {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func writeTar(out io.Writer, format tar.Format) {
	w := tar.NewWriter(out)
	all := files
	if format != tar.FormatUSTAR {
		all = append(append([]file{}, files...), long)
	} else {
		all = append(append([]file{}, files[:2]...), files[3:]...) // it has names in ASCII alone
	}
	check(w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "dir/", Mode: 0o755, ModTime: when, Format: format}))
	for _, one := range all {
		check(w.WriteHeader(&tar.Header{Name: one.name, Size: int64(len(one.text)), Mode: 0o640, ModTime: when, Format: format}))
		must(io.WriteString(w, one.text))
	}
	check(w.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: "soft", Linkname: "dir/block", ModTime: when, Format: format}))
	check(w.WriteHeader(&tar.Header{Typeflag: tar.TypeLink, Name: "hard", Linkname: "a", ModTime: when, Format: format}))
	check(w.Close())
}

func writeZip(out io.Writer, how string) {
	w := zip.NewWriter(out)
	check(w.SetComment("made by Go"))
	for _, one := range append(append([]file{}, files...), long) {
		header := &zip.FileHeader{Name: one.name, Method: zip.Deflate, Modified: when}
		if how == "raw" { // sizes in the local header, no descriptor
			header.Method = zip.Store
			header.CRC32 = crc32.ChecksumIEEE([]byte(one.text))
			header.CompressedSize64 = uint64(len(one.text))
			header.UncompressedSize64 = uint64(len(one.text))
			must(io.WriteString(must(w.CreateRaw(header)), one.text))
			continue
		}
		must(io.WriteString(must(w.CreateHeader(header)), one.text))
	}
	must(w.Create("folder/"))
	link := &zip.FileHeader{Name: "soft", Method: zip.Store, Modified: when}
	link.SetMode(os.ModeSymlink | 0o777)
	must(io.WriteString(must(w.CreateHeader(link)), "dir/block"))
	check(w.Close())
}

func list(archive, name, what string) {
	fmt.Fprintf(&lists, "%s\t%s\t%s\n", archive, strings.TrimSuffix(name, "/"), what)
}

func sum(in io.Reader) string {
	return fmt.Sprintf("%x", sha256.Sum256(must(io.ReadAll(in))))
}

func listTar(name string, in io.Reader) {
	sums := map[string]string{}
	for r := tar.NewReader(in); ; {
		header, err := r.Next()
		if err == io.EOF {
			return
		}
		check(err)
		switch header.Typeflag {
		case tar.TypeDir:
			list(name, header.Name, "folder")
		case tar.TypeSymlink:
			list(name, header.Name, "-> "+header.Linkname)
		case tar.TypeLink:
			list(name, header.Name, sums[header.Linkname])
		default:
			sums[header.Name] = sum(r)
			list(name, header.Name, sums[header.Name])
		}
	}
}

func listZip(path string) {
	r := must(zip.OpenReader(path))
	for _, one := range r.File {
		content := must(one.Open())
		switch {
		case one.FileInfo().IsDir():
			list(filepath.Base(path), one.Name, "folder")
		case one.Mode()&os.ModeSymlink != 0:
			list(filepath.Base(path), one.Name, "-> "+string(must(io.ReadAll(content))))
		default:
			list(filepath.Base(path), one.Name, sum(content))
		}
	}
}

func main() {
	folder := os.Args[1]
	for name, format := range map[string]tar.Format{
		"go-ustar.tgz": tar.FormatUSTAR, "go-pax.tgz": tar.FormatPAX, "go-gnu.tgz": tar.FormatGNU,
	} {
		out := must(os.Create(filepath.Join(folder, name)))
		pack := must(gzip.NewWriterLevel(out, flate.BestCompression))
		writeTar(pack, format)
		check(pack.Close())
		check(out.Close())
		in := must(os.Open(out.Name()))
		listTar(name, must(gzip.NewReader(in)))
	}
	for _, how := range []string{"deflated", "raw"} {
		out := must(os.Create(filepath.Join(folder, "go-"+how+".zip")))
		writeZip(out, how)
		check(out.Close())
		listZip(out.Name())
	}
	check(os.WriteFile(filepath.Join(folder, "go.tsv"), []byte(lists.String()), 0o644))
}
