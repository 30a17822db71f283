<?php
// A chat backend for PHP-FPM with curl and PDO SQLite. Configured by DB and PROVIDER.
declare(strict_types=1);

if ($_SERVER['REQUEST_URI'] === '/api/health') {
    header('Content-Type: application/json');
    echo json_encode(['status' => 'ok']);
    exit;
}

$db = new PDO('sqlite:' . getenv('DB'), null, null, [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION, PDO::ATTR_TIMEOUT => 60]);

function add(PDO $db, string $conversation, string $role, string $content): void
{
    $db->prepare('INSERT INTO messages (conversation_id, role, content, created_at) VALUES (?, ?, ?, ?)')
        ->execute([$conversation, $role, $content, microtime(true)]);
}

function frame(array $data): void
{
    echo 'data: ' . json_encode($data) . "\n\n";
    flush();
}

$question = json_decode(file_get_contents('php://input'), true);
$conversation = $question['conversation_id'] ?? bin2hex(random_bytes(16));
add($db, $conversation, 'user', $question['message']);
$past = $db->prepare('SELECT role, content FROM messages WHERE conversation_id = ? ORDER BY id DESC LIMIT 11');
$past->execute([$conversation]);
$messages = array_reverse($past->fetchAll(PDO::FETCH_ASSOC));

while (ob_get_level() > 0) {
    ob_end_clean();
}
header('Content-Type: text/event-stream');
header('Cache-Control: no-cache');
header('X-Accel-Buffering: no');
frame(['content' => '', 'done' => false, 'conversation_id' => $conversation]);

$text = '';
$pending = '';
$curl = curl_init(getenv('PROVIDER') . '/chat/completions');
curl_setopt_array($curl, [
    CURLOPT_POST => true,
    CURLOPT_HTTPHEADER => ['Content-Type: application/json', 'Authorization: Bearer sk-bench'],
    CURLOPT_POSTFIELDS => json_encode(['model' => 'bench', 'messages' => $messages, 'stream' => true]),
    CURLOPT_TIMEOUT => 300,
    CURLOPT_WRITEFUNCTION => function ($curl, string $bytes) use (&$text, &$pending): int {
        $pending .= $bytes;
        while (($end = strpos($pending, "\n")) !== false) {
            $line = trim(substr($pending, 0, $end));
            $pending = substr($pending, $end + 1);
            if (!str_starts_with($line, 'data: ') || $line === 'data: [DONE]') {
                continue;
            }
            $content = json_decode(substr($line, 6), true)['choices'][0]['delta']['content'] ?? '';
            if ($content !== '') {
                $text .= $content;
                frame(['content' => $content, 'done' => false]);
            }
        }
        return strlen($bytes);
    },
]);
curl_exec($curl);
add($db, $conversation, 'assistant', $text);
frame(['content' => '', 'done' => true]);
echo "data: [DONE]\n\n";
