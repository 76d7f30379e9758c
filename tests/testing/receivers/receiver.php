<?php
// Receivers of Frappe's and GitHub's webhooks in PHP, right and wrong ones: the variable RECEIVER.

const LIMIT = 4096;
$secret = getenv('SECRET');

function answer(int $status, string $text): never
{
    http_response_code($status);
    header('Content-Type: text/plain');
    echo $text;
    exit;
}

function once(string $key): never
{
    // Only one process can create the file.
    $file = @fopen(getenv('SEEN') . '/' . hash('sha256', $key), 'x');
    answer(200, $file === false ? 'duplicate' : 'handled');
}

if ((int) ($_SERVER['CONTENT_LENGTH'] ?? 0) > LIMIT) {
    answer(413, 'too large');
}
$body = file_get_contents('php://input');
$frappe = $_SERVER['HTTP_X_FRAPPE_WEBHOOK_SIGNATURE'] ?? '';
$github = $_SERVER['HTTP_X_HUB_SIGNATURE_256'] ?? '';
$base64 = base64_encode(hash_hmac('sha256', $body, $secret, true));
$hex = hash_hmac('sha256', $body, $secret);

switch (getenv('RECEIVER')) {
    case 'frappe':
        hash_equals($base64, $frappe) ? once($base64) : answer(401, 'refused');
    case 'github':
        hash_equals("sha256=$hex", $github) ? once($hex) : answer(401, 'refused');
    case 'no-header':
        $frappe === '' || hash_equals($base64, $frappe) ? once($base64) : answer(401, 'refused');
    case 'polite':
        hash_equals($base64, $frappe) ? once($base64) : answer(200, 'refused');
    case 'lenient':
        hash_equals(base64_decode($base64), base64_decode($frappe))
            ? once($base64)
            : answer(401, 'refused');
    case 'parsed':
        $again = json_encode(json_decode($body));
        $right = base64_encode(hash_hmac('sha256', $again, $secret, true));
        hash_equals($right, $frappe) ? once($right) : answer(401, 'refused');
    case 'recorded-first':
        $file = @fopen(getenv('SEEN') . '/' . hash('sha256', $body), 'x');
        if ($file === false) {
            answer(200, 'duplicate');
        }
        hash_equals($base64, $frappe) ? answer(200, 'handled') : answer(401, 'refused');
}
