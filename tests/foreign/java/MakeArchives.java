import java.io.IOException;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileSystem;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.jar.Attributes;
import java.util.jar.JarOutputStream;
import java.util.jar.Manifest;
import java.util.stream.Stream;
import java.util.zip.CRC32;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;
import java.util.zip.ZipOutputStream;

/** Writes zips with the classes of Java, reads each again with them, and lists what they read. */
public class MakeArchives {
    private static final Map<String, String> FILES = new LinkedHashMap<>();

    static {
        FILES.put("a", "some text of a\n");
        FILES.put("empty", "");
        FILES.put("dir/", "");
        FILES.put("dir/ümläut ✓ 😀", "utf-8");
        FILES.put("text", "text that compresses\n".repeat(100));
        FILES.put("d".repeat(90) + "/" + "e".repeat(120) + "/f", "long");
    }

    private static void write(ZipOutputStream out, boolean isStored) throws IOException {
        for (Map.Entry<String, String> file : FILES.entrySet()) {
            byte[] data = file.getValue().getBytes(StandardCharsets.UTF_8);
            ZipEntry entry = new ZipEntry(file.getKey());
            entry.setTime(981173106000L);
            if (isStored) {
                CRC32 crc = new CRC32();
                crc.update(data);
                entry.setMethod(ZipEntry.STORED);
                entry.setSize(data.length);
                entry.setCrc(crc.getValue());
                entry.setComment("stored");
            }
            out.putNextEntry(entry);
            out.write(data);
            out.closeEntry();
        }
        out.close();
    }

    /** By the file system of zips, with permissions of POSIX. */
    private static void writeByFileSystem(Path path) throws Exception {
        Files.deleteIfExists(path);
        Map<String, String> options = Map.of("create", "true", "enablePosixFileAttributes", "true");
        try (FileSystem zip = FileSystems.newFileSystem(URI.create("jar:" + path.toUri()), options)) {
            for (Map.Entry<String, String> file : FILES.entrySet()) {
                Path inside = zip.getPath(file.getKey());
                if (file.getKey().endsWith("/")) {
                    Files.createDirectories(inside);
                } else {
                    if (inside.getParent() != null) {
                        Files.createDirectories(inside.getParent());
                    }
                    Files.writeString(inside, file.getValue());
                }
            }
        }
    }

    private static void list(Path path, StringBuilder lists) throws Exception {
        try (ZipFile zip = new ZipFile(path.toFile())) {
            for (ZipEntry entry : zip.stream().toArray(ZipEntry[]::new)) {
                String what = "folder";
                if (!entry.isDirectory()) {
                    byte[] data = zip.getInputStream(entry).readAllBytes();
                    what = HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(data));
                }
                String name = entry.getName().replaceAll("/$", "");
                lists.append(path.getFileName() + "\t" + name + "\t" + what + "\n");
            }
        }
    }

    public static void main(String[] arguments) throws Exception {
        Path folder = Path.of(arguments[0]);
        Path deflated = folder.resolve("java-deflated.zip");
        Path stored = folder.resolve("java-stored.zip");
        Path jar = folder.resolve("java.jar");
        Path posix = folder.resolve("java-zipfs.zip");
        write(new ZipOutputStream(Files.newOutputStream(deflated)), false);
        write(new ZipOutputStream(Files.newOutputStream(stored)), true);
        Manifest manifest = new Manifest();
        manifest.getMainAttributes().put(Attributes.Name.MANIFEST_VERSION, "1.0");
        write(new JarOutputStream(Files.newOutputStream(jar), manifest), false);
        writeByFileSystem(posix);
        StringBuilder lists = new StringBuilder();
        try (Stream<Path> paths = Files.list(folder)) {
            for (Path path : paths.sorted().toArray(Path[]::new)) {
                if (path.getFileName().toString().matches("java.*(zip|jar)")) {
                    list(path, lists);
                }
            }
        }
        Files.writeString(folder.resolve("java.tsv"), lists);
    }
}
